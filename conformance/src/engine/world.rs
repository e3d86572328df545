//! What a case has at hand: the target, its own users, and the means to judge.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat_spec::{Requirement, req};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::timeout;

use super::pace::Counted;
use super::transcript::{Party, Record, What};
use super::{Answer, Device, Failure, Stop, Tally, Target, Transcript, http};
use crate::launch::Launcher;

/// How long an answer or an event may take before it counts as missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// For how long in all a case asks a target again that cannot answer at the moment. Of one that never can, the answers are taken as
/// they are then.
pub(super) const BUSY: Duration = Duration::from_secs(30);

/// Of the log of a server that a case started, for the report.
const LOG_LINES: usize = 40;
const LOG_LENGTH: usize = 2000;
/// How long it may take to hand out the logs of a case.
const LOGS_WITHIN: Duration = Duration::from_secs(10);

/// One case's world. Cheap to clone.
#[derive(Clone)]
pub struct World(Arc<WorldParts>);

pub struct WorldParts {
    pub target: Target,
    pub transcript: Transcript,
    /// Starts servers for this case alone.
    launcher: Option<Launcher>,
    seed: u64,
    tally: Mutex<Tally>,
    /// Counts exchanges and devices.
    numbers: AtomicU64,
    users: AtomicUsize,
    people: Mutex<People>,
    /// How long calls waited for limits of the target.
    waited: Mutex<Duration>,
    busy: Mutex<Busy>,
}

/// How long calls of a case waited for a target that could not answer, those that waited at the same time counted once.
#[derive(Default)]
struct Busy {
    waited: Duration,
    until: Option<Instant>,
}

impl Drop for WorldParts {
    /// A case that was ended had secrets too.
    fn drop(&mut self) {
        if !self.transcript.is_empty() {
            self.take_transcript();
        }
    }
}

impl WorldParts {
    /// All that has happened, once; its secrets are remembered for whoever shows logs.
    pub(super) fn take_transcript(&self) -> Record {
        let transcript = self.transcript.take();
        self.target.learn(&transcript.secrets);
        transcript
    }
}

/// What users of the case are called, and how many devices they have had.
#[derive(Default)]
struct People {
    labels: HashMap<String, String>,
    roles: HashMap<String, usize>,
    devices: HashMap<String, usize>,
}

impl Deref for World {
    type Target = WorldParts;

    fn deref(&self) -> &WorldParts {
        &self.0
    }
}

impl World {
    /// `seed` decides whatever the case leaves to chance.
    pub fn new(target: Target, seed: u64) -> Self {
        Self(Arc::new(WorldParts {
            launcher: target.launcher.as_ref().map(Launcher::keeping),
            target,
            transcript: Transcript::default(),
            seed,
            tally: Mutex::default(),
            numbers: AtomicU64::new(1),
            users: AtomicUsize::new(0),
            people: Mutex::default(),
            waited: Mutex::default(),
            busy: Mutex::default(),
        }))
    }

    /// Waits before a call is made again that was answered, after so long, that it cannot be answered now. `false`: the case has waited
    /// enough for that.
    pub(super) async fn waits_for_a_busy_server(&self, took: Duration, retry_after: u64) -> bool {
        let pause = Duration::from_secs(retry_after).clamp(http::PAUSE, http::LONGEST_PAUSE);
        let now = Instant::now();
        {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            if busy.waited >= BUSY {
                return false;
            }
            let asked = now.checked_sub(took).unwrap_or(now);
            let from = busy.until.map_or(asked, |until| until.max(asked));
            let until = (now + pause).max(from);
            busy.waited += until - from;
            busy.until = Some(until);
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// Waits until the target allows one more call.
    pub(super) async fn wait_for_limits(&self, counted: Counted) {
        let due = self.target.pace.take(counted);
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += wait;
            self.transcript.nothing_before(due);
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// Makes calls at the same time. A case of which some had to wait for a limit of the target is begun again: they met nobody.
    pub async fn race<T>(
        &self,
        calls: impl Iterator<Item = impl Future<Output = Result<T, Stop>>>,
    ) -> Result<Vec<T>, Stop> {
        let waited = self.waited();
        let answers = futures_util::future::try_join_all(calls).await?;
        match self.waited() == waited {
            true => Ok(answers),
            false => Err(Stop::TooSlow(
                "calls at the same time waited for a limit of the target".into(),
            )),
        }
    }

    /// How long calls of the case have waited for limits of the target, or are to.
    pub fn waited(&self) -> Duration {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Made of the seed of the run and the name of the case: the same case of the same run decides the same again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chance that comes out the same with the same seed. Names that must be new in every run are not made of it.
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The node for the next user.
    pub(super) fn next_node(&self) -> String {
        let nodes = &self.target.nodes;
        let turn = self.users.fetch_add(1, Ordering::Relaxed);
        nodes.get(turn % nodes.len()).cloned().unwrap_or_default()
    }

    /// Where another device of somebody at `base` is connected: devices are spread over the nodes as users are.
    pub(super) fn node_of_device(&self, base: &str, number: usize) -> String {
        let nodes = &self.target.nodes;
        let place = nodes.iter().position(|node| node == base);
        place
            .and_then(|place| nodes.get((place + number) % nodes.len()))
            .map_or_else(|| base.to_owned(), Clone::clone)
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers under which name reports show a user: `ann`, and `ann'2` for a second one of the role.
    pub(super) fn introduce(&self, role: &str, username: &str) {
        let mut people = self.people();
        let count = people.roles.entry(role.to_owned()).or_default();
        *count += 1;
        let label = if *count == 1 {
            role.to_owned()
        } else {
            format!("{role}'{count}")
        };
        people.labels.insert(username.to_owned(), label);
    }

    /// A user as reports show it.
    pub(super) fn party(&self, username: &str, id: &str) -> Party {
        let label = self.people().labels.get(username).cloned();
        Party {
            label: label.as_deref().unwrap_or(username).into(),
            user: Some(id.into()),
            device: None,
        }
    }

    /// A further device of this user, and how many came before it.
    pub(super) fn device_of(&self, owner: &Party) -> (Party, usize) {
        let mut people = self.people();
        let count = people.devices.entry(owner.label.to_string()).or_default();
        *count += 1;
        let party = Party {
            label: format!("{}#{count}", owner.label).into(),
            user: owner.user.clone(),
            device: Some(self.number()),
        };
        (party, *count - 1)
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges: `pass` says whether the requirement holds here.
    pub fn check(
        &self,
        requirement: &'static Requirement,
        pass: bool,
        expected: impl Display,
        got: impl Display,
    ) -> bool {
        let mut tally = self.tally();
        if pass {
            *tally.passed.entry(requirement.id).or_default() += 1;
        } else {
            let (expected, got) = (expected.to_string(), got.to_string());
            let what = What::Failed {
                requirement,
                expected: expected.clone(),
                got: got.clone(),
            };
            self.transcript.add(&Party::guest(), &Arc::default(), what);
            tally.failures.push(Failure {
                requirement,
                expected,
                got,
                seen: self.transcript.len(),
            });
        }
        pass
    }

    /// Judges, and ends the case when the requirement does not hold.
    pub fn need(
        &self,
        requirement: &'static Requirement,
        pass: bool,
        expected: impl Display,
        got: impl Display,
    ) -> Result<(), Stop> {
        if self.check(requirement, pass, expected, got) {
            Ok(())
        } else {
            Err(Stop::Judged)
        }
    }

    /// Judges that two values are equal.
    pub fn equal(
        &self,
        requirement: &'static Requirement,
        what: &str,
        expected: impl Into<Value>,
        got: impl Into<Value>,
    ) -> bool {
        let (expected, got) = (expected.into(), got.into());
        let pass = expected == got;
        self.check(requirement, pass, format!("{what} = {expected}"), got)
    }

    /// Judges that a value has the shape of a schema.
    pub fn shaped(&self, requirement: &'static Requirement, schema: &str, value: &Value) -> bool {
        let wrong = self.wrong_shape(schema, value);
        self.check(
            requirement,
            wrong.is_none(),
            format!("the shape {schema}"),
            wrong.unwrap_or_default(),
        )
    }

    /// What is wrong with the shape of a value, if anything.
    pub(super) fn wrong_shape(&self, schema: &str, value: &Value) -> Option<String> {
        let Some(validator) = self.target.validators.get(schema) else {
            return Some(format!("(there is no schema {schema})"));
        };
        let wrong: Vec<String> = (validator.iter_errors(value).take(3))
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.masked().to_string(),
                path => format!("{path}: {}", error.masked()),
            })
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// Judges a success: status and the shape of the body. Ends the case otherwise.
    pub fn success(
        &self,
        requirement: &'static Requirement,
        answer: &Answer,
        status: u16,
        schema: Option<&str>,
    ) -> Result<(), Stop> {
        let got = format!("{} {}", answer.status, answer.code());
        self.need(requirement, answer.status == status, format!("status {status}"), got)?;
        if let Some(schema) = schema {
            let wrong = self.wrong_shape(schema, &answer.body);
            self.need(
                requirement,
                wrong.is_none(),
                format!("a body of shape {schema}"),
                wrong.unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    /// Judges that a list is given, and ends the case otherwise: a refusal would look as if nothing were found. Its items.
    pub fn items<'a>(&self, requirement: &'static Requirement, answer: &'a Answer) -> Result<&'a [Value], Stop> {
        self.success(requirement, answer, 200, None)?;
        answer.items()
    }

    /// Judges that an event was acknowledged, and ends the case otherwise.
    pub fn accepted(&self, requirement: &'static Requirement, ack: &Value) -> Result<(), Stop> {
        self.need(requirement, ack["ok"] == true, "ok true", ack)
    }

    /// Judges a refusal: status and code. Its shape is judged wherever an error comes.
    pub fn refused(&self, requirement: &'static Requirement, answer: &Answer, status: u16, code: &str) -> bool {
        let pass = answer.status == status && answer.code() == code;
        self.check(
            requirement,
            pass,
            format!("{status} {code}"),
            format!("{} {}", answer.status, answer.code()),
        )
    }

    /// Judges a `VALIDATION_ERROR` with a detail for each of these fields.
    pub fn invalid(&self, requirement: &'static Requirement, answer: &Answer, fields: &[&str]) -> bool {
        let details = answer.details();
        let pass = answer.status == 400
            && answer.code() == "VALIDATION_ERROR"
            && fields.iter().all(|field| details.contains(field));
        let got = format!("{} {} {details:?}", answer.status, answer.code());
        self.check(requirement, pass, format!("400 VALIDATION_ERROR on {fields:?}"), got)
    }

    /// Judges a refusing ack.
    pub fn refused_ack(&self, requirement: &'static Requirement, ack: &Value, code: &str) -> bool {
        self.shaped(&req::ERRORS_SHAPE_ACK, "FailedAck", ack);
        let got = ack["error"]["code"].as_str().unwrap_or_default();
        self.check(
            requirement,
            ack["ok"] == false && got == code,
            format!("ok false, {code}"),
            ack,
        )
    }

    /// Judges that an event arrives at a device and has its shape. Ends the case otherwise.
    pub async fn arrives(
        &self,
        requirement: &'static Requirement,
        device: &Device,
        event: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, Stop> {
        let Some(payload) = device.take(event, fits).await else {
            let got = format!("{}; seen: {}", device.state(), device.names());
            self.need(requirement, false, format!("{event} at {}", device.label()), got)?;
            return Err(Stop::Judged);
        };
        self.check(requirement, true, "", "");
        if event == "error" {
            self.shaped(&req::ERRORS_SHAPE_EVENT, "Error", &payload);
        } else {
            let words = event.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            let wrong = self.wrong_shape(&format!("{}Event", words.collect::<String>()), &payload);
            self.check(
                requirement,
                wrong.is_none(),
                format!("the payload of {event}"),
                wrong.unwrap_or_default(),
            );
        }
        Ok(payload)
    }

    /// Judges that nothing of a kind came to a device before a message that was sent later. The sender is any other user.
    pub async fn absent(
        &self,
        requirement: &'static Requirement,
        device: &Device,
        sender: &super::User,
        what: &str,
        fits: impl Fn(&str, &Value) -> bool,
    ) -> Result<(), Stop> {
        let mark = format!("fence {}", rand::random::<u64>());
        sender.must_send(device.owner(), &mark).await?;
        device
            .must_take("new_message", |payload| payload["content"] == mark.as_str())
            .await?;
        let found = device.find(&fits);
        let got = found
            .as_ref()
            .map(|(name, payload)| format!("{name} {payload}"))
            .unwrap_or_default();
        self.check(
            requirement,
            found.is_none(),
            format!("no {what} at {}", device.label()),
            got,
        );
        Ok(())
    }

    /// Starts further servers, or ends the case: somebody else's server cannot be started anew.
    pub fn launcher(&self) -> Result<&Launcher, Stop> {
        let missing = || Stop::NotApplicable("needs a server with settings of its own".into());
        self.launcher.as_ref().ok_or_else(missing)
    }

    /// Notes the end of what each server of this case wrote, where it wrote something.
    pub(super) async fn note_logs(&self) {
        let Some(launcher) = &self.launcher else { return };
        let Ok(logs) = timeout(LOGS_WITHIN, launcher.logs()).await else {
            return;
        };
        for (server, log) in logs {
            let lines: Vec<&str> = log.lines().collect();
            let mut end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            if let Some((begin, _)) = end.char_indices().rev().nth(LOG_LENGTH) {
                end.drain(..begin);
            }
            if !end.is_empty() {
                self.transcript
                    .note(&format!("{server} wrote last:\n{}", launcher.masked(&end)));
            }
        }
    }

    pub(super) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
