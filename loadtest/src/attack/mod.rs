//! A run: goose starts and ends the users, each of whom is a device that acts or is told; the others sit beside; a supervisor
//! sees to the start, the drain and the end.

mod audience;
mod audit;
mod drain;
mod eyes;
#[cfg(unix)]
mod hush;
mod interrupt;
mod options;
mod player;
mod stage;
mod supervise;
mod whispers;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use goose::GooseAttack;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionError, TransactionFunction, TransactionResult};
use tokio::sync::Mutex;

pub(crate) use self::interrupt::{interrupted, listen, was_interrupted};
pub(crate) use self::options::{check_options, thresholds};
use self::player::Player;
pub(crate) use self::stage::{Load, Script, Stage};
use crate::glance::{Glance, Watch};
use crate::latency::{Kind, Recorder};
use crate::ledger::Balance;
use crate::pace::Pacer;
use crate::people::Person;
use crate::rest::{CallError, Rest, is_encrypted};
use crate::tally::Tally;
use crate::target::{Resources, Usage};

/// What is to be played, and how.
pub(crate) struct Order {
    pub(crate) script: Script,
    /// As the scenario is named in goose's reports.
    pub(crate) name: &'static str,
    /// One for each person of the cast.
    pub(crate) people: Vec<Person>,
    pub(crate) resources: Resources,
    /// Devices that connect in a second.
    pub(crate) connects_per_second: u32,
    /// How long after the schedule what is under way may take.
    pub(crate) drain_within: Duration,
    /// The agreed start of several generators.
    pub(crate) start_at: Option<SystemTime>,
    /// For goose, as on its command line.
    pub(crate) goose: Vec<String>,
    /// What looks on while it runs.
    pub(crate) watch: Option<Watch>,
}

/// What was played.
pub(crate) struct Played {
    pub(crate) recorder: Recorder,
    pub(crate) tally: Tally,
    pub(crate) ledger: Balance,
    pub(crate) usage: Vec<Usage>,
    /// From the start of the schedule to the end of the drain.
    pub(crate) lasted: Duration,
    /// Processor time of this process in it.
    pub(crate) own_cpu: Duration,
    /// Cores that this process took while it was measured.
    pub(crate) busy_cores: f64,
    /// Resident memory of this process in MiB, when everybody was connected.
    pub(crate) own_memory: Option<f64>,
    pub(crate) began: SystemTime,
    pub(crate) connected: u64,
    pub(crate) disconnects: u64,
    /// Arrivals that this process was too slow to take.
    pub(crate) overrun: u64,
    /// Whether somebody ended it before its end, or before all was read back.
    pub(crate) cut_short: bool,
    /// Devices that had turns left when there was no more time for them.
    pub(crate) unplayed: u64,
    /// What goose's thresholds found.
    pub(crate) thresholds: Vec<String>,
    /// Why goose could not write its own page, or judge its thresholds.
    pub(crate) goose_failed: Option<String>,
    /// Why the server's history could not be read.
    pub(crate) unread: Option<CallError>,
}

/// The run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    #[error("goose cannot run: {0}")]
    Goose(String),
    #[error("a chat cannot be opened: {0}")]
    Open(CallError),
    #[error(
        "the server gives messages no place in their chat (`seq` is null): the ledger reads back by it what was stored, which takes the \
         profile `recovery` of the contract"
    )]
    Unplaced,
    #[error("only {connected} of {devices} devices could connect: {why}")]
    Connect { connected: u64, devices: u64, why: String },
    #[error("the start that was agreed on is over")]
    TooLate,
    #[error("it was ended before it began")]
    Interrupted,
    #[error("no timer can be had: {0}")]
    Timer(std::io::Error),
    #[error("a server's address cannot be used")]
    Address,
}

/// What is in a user's session: goose wants it to be clonable, and nobody clones it.
#[derive(Clone)]
struct Seat(Arc<Mutex<Option<Player>>>);

/// Plays it from the first connection to the settled ledger.
pub(crate) async fn play(order: Order) -> Result<Played, AttackError> {
    let rest = order
        .script
        .nodes
        .iter()
        .map(|node| Rest::new(node.clone()).map_err(|_| AttackError::Address));
    let rest: Vec<Rest> = rest.collect::<Result<_, _>>()?;
    let first = rest.first().ok_or(AttackError::Address)?.clone();
    let opened = tokio::select! {
        opened = audit::open_chats(&first, &order.script.cast, &order.people) => opened,
        () = interrupted() => return Err(AttackError::Interrupted),
    };
    let bases = opened.map_err(AttackError::Open)?.ok_or(AttackError::Unplaced)?;
    let pacer = Pacer::start().map_err(AttackError::Timer)?;
    let stage = Arc::new(Stage::new(order.script, order.people, rest, bases, pacer));
    if was_interrupted() {
        return Err(AttackError::Interrupted);
    }
    let watch = order.watch.map(Arc::new);
    // Where nobody looks on, nobody is told.
    #[cfg(unix)]
    let hush = watch.is_none().then(hush::Hush::begin);
    let supervisor = tokio::spawn(supervise::supervise(
        stage.clone(),
        supervise::Times {
            drain_within: order.drain_within,
            start_at: order.start_at,
            connects_per_second: order.connects_per_second,
        },
        order.resources,
        watch.clone(),
    ));
    tokio::spawn(audience::attend(stage.clone(), order.connects_per_second));
    let ended = until_the_end(
        run_goose(&stage, order.name, order.connects_per_second, &order.goose),
        || supervisor.is_finished(),
    )
    .await;
    #[cfg(unix)]
    drop(hush);
    // Goose may have ended for a reason of its own, such as Ctrl-C or a threshold.
    stage.stop.send_replace(true);
    let watched = supervisor
        .await
        .map_err(|error| AttackError::Goose(error.to_string()))?;
    let by_somebody = match &watched {
        Ok(watched) => watched.cut_short,
        Err(error) => matches!(error, AttackError::Interrupted),
    };
    if !by_somebody {
        // We ended goose ourselves. Whoever ends it from now on is seen again: a signal is told of again and again.
        goose::reset_killswitch();
    }
    let (thresholds, goose_failed) = match ended {
        Ok(thresholds) => (thresholds, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let watched = match (watched, &goose_failed) {
        // That nobody could connect is then what came of it.
        (Err(AttackError::Connect { .. }), Some(why)) => return Err(AttackError::Goose(why.clone())),
        (watched, _) => watched?,
    };
    // Of a run that was cut short it is not known.
    if !watched.cut_short {
        stage.record_what_never_came();
    }
    let (recorder, tally, books) = stage.recorded(|recorded| {
        (
            std::mem::take(&mut recorded.recorder),
            std::mem::take(&mut recorded.tally),
            std::mem::take(&mut recorded.books),
        )
    });
    let settled = audit::settle(&first, &stage, &books, |read, chats| {
        if let Some(watch) = &watch {
            watch(&Glance::reading_back(read, chats));
        }
    })
    .await;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Played {
        recorder,
        tally,
        ledger: settled.ledger,
        usage: watched.usage,
        lasted: watched.lasted,
        own_cpu: watched.own_cpu,
        busy_cores: watched.busy_cores,
        own_memory: watched.own_memory,
        began: watched.began,
        connected: count(&stage.progress.seated),
        disconnects: count(&stage.progress.disconnects),
        overrun: count(&stage.progress.overrun),
        cut_short: watched.cut_short || settled.cut_short,
        unplayed: watched.unplayed,
        thresholds,
        goose_failed,
        unread: settled.unread,
    })
}

/// Ends goose when the supervisor has ended: again and again, for goose forgets it when it is only just starting.
async fn until_the_end<T>(goose: impl Future<Output = T>, is_over: impl Fn() -> bool) -> T {
    tokio::pin!(goose);
    loop {
        tokio::select! {
            ended = &mut goose => return ended,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                if is_over() {
                    goose::trigger_killswitch("the schedule has ended");
                }
            }
        }
    }
}

/// Runs goose until its end; returns the thresholds that failed.
async fn run_goose(
    stage: &Arc<Stage>,
    name: &str,
    connects_per_second: u32,
    more: &[String],
) -> Result<Vec<String>, String> {
    let failed = |error: goose::GooseError| options::said(&error);
    let host = stage.script.nodes.first().map_or_else(String::new, ToString::to_string);
    let users = stage.script.cast.acting().to_string();
    let rate = connects_per_second.max(1).to_string();
    let mut arguments: Vec<&str> = vec![
        "--host",
        &host,
        "--users",
        &users,
        "--increase-rate",
        &rate,
        // What is measured before everybody is there is a connection, which counts.
        "--no-reset-metrics",
        "--no-scenario-metrics",
        "--no-transaction-metrics",
        "--no-print-metrics",
        // Nobody but the dashboard, where it is asked for, steers a run.
        "--no-telnet",
        // What stops it is a run that was ended early; and of the end it is to say what it found.
        "--no-threshold-abort",
        "--quiet",
    ];
    arguments.extend(more.iter().map(String::as_str));
    let configuration = GooseConfiguration::parse_args_default(&arguments).map_err(failed)?;
    // Its clients ask nobody. Where nothing is encrypted they shall not look for certificates either.
    let is_plain = stage.script.nodes.iter().all(|node| !is_encrypted(node));
    let client = GooseClientBuilder::new()
        .without_cookies()
        .accept_invalid_certs(is_plain);
    let attack = GooseAttack::initialize_with_config(configuration)
        .and_then(|attack| attack.set_client_builder_without_cookies(client))
        .map_err(failed)?;
    let scenario = Scenario::new(name)
        .register_transaction(
            Transaction::new(enter(stage.clone()))
                .set_name("connect")
                .set_on_start(),
        )
        // Where nothing is asked of goose, nobody reads what it would make of every sample.
        .register_transaction(Transaction::new(act(!more.is_empty())).set_name("play"))
        .register_transaction(Transaction::new(leave()).set_name("leave").set_on_stop());
    match attack.register_scenario(scenario).execute().await {
        Ok(_) => Ok(Vec::new()),
        Err(goose::GooseError::ThresholdsFailed { failed, .. }) => {
            let lines = failed
                .iter()
                .map(|failed| format!("{} (was {})", failed.rule, failed.observed));
            Ok(lines.collect())
        }
        Err(error) => Err(failed(error)),
    }
}

type Acting<'r> = Pin<Box<dyn Future<Output = TransactionResult> + Send + 'r>>;

/// Connects a device, and counts it as there or as failed. The error is the code of what went wrong.
async fn seat(stage: &Arc<Stage>, number: usize) -> Result<Player, Box<str>> {
    let entered = Player::enter(stage, number).await;
    match &entered {
        Ok(_) => drop(stage.progress.seated.fetch_add(1, Ordering::Relaxed)),
        Err(code) => stage.note_failure(code.clone()),
    }
    entered
}

/// Connects a device and gives it to the user.
fn enter(stage: Arc<Stage>) -> TransactionFunction {
    let next = Arc::new(AtomicUsize::new(0));
    Arc::new(move |user: &mut GooseUser| -> Acting<'_> {
        let (stage, number) = (stage.clone(), next.fetch_add(1, Ordering::Relaxed));
        Box::pin(async move {
            match seat(&stage, number).await {
                Ok(player) => {
                    user.set_session_data(Seat(Arc::new(Mutex::new(Some(player)))));
                    Ok(())
                }
                Err(code) => Err(Box::new(TransactionError::Custom(code.into()))),
            }
        })
    })
}

/// Lets the user's device play for a while and tells goose what was measured, if it is to know.
fn act(tells: bool) -> TransactionFunction {
    Arc::new(move |user: &mut GooseUser| -> Acting<'_> {
        Box::pin(async move {
            // A user whose `connect` failed has none, and goose runs it all the same.
            let Some(Seat(seat)) = user.get_session_data::<Seat>().cloned() else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Ok(());
            };
            let samples = match seat.lock().await.as_mut() {
                Some(player) => {
                    player.play().await;
                    player.take_samples()
                }
                None => Vec::new(),
            };
            let told = samples.iter().filter(|sample| tells && sample.kind != Kind::Turn);
            for sample in told {
                let (method, name) = (sample.kind.method(), sample.kind.name());
                let error = sample.error.as_deref();
                user.record_custom_request_duration(method, name, sample.took, error.is_none(), None, error)
                    .await?;
            }
            Ok(())
        })
    })
}

/// Has the user's device hand in its book: goose ends users by itself at a Ctrl-C, before they hear that the run is over.
fn leave() -> TransactionFunction {
    Arc::new(|user: &mut GooseUser| -> Acting<'_> {
        Box::pin(async move {
            if let Some(Seat(seat)) = user.get_session_data::<Seat>().cloned()
                && let Some(player) = seat.lock().await.as_mut()
            {
                player.leave().await;
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests;
