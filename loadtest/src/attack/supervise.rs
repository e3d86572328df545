//! Sees to the start, watches, waits for what is under way, and ends it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::AttackError;
use super::drain::Drain;
use super::eyes::Eyes;
use super::stage::Stage;
use crate::glance::{Glance, Watch};
use crate::latency::{Kind, Summary};
use crate::target::{Resources, Usage, own_cpu, own_memory};

pub(super) struct Times {
    pub(super) drain_within: Duration,
    pub(super) start_at: Option<SystemTime>,
    pub(super) connects_per_second: u32,
}

/// What was seen beside the devices.
pub(super) struct Watched {
    pub(super) usage: Vec<Usage>,
    pub(super) lasted: Duration,
    pub(super) own_cpu: Duration,
    /// Cores that it took while it was measured.
    pub(super) busy_cores: f64,
    pub(super) own_memory: Option<f64>,
    pub(super) began: SystemTime,
    pub(super) cut_short: bool,
    /// Devices that had turns left when there was no more time for them.
    pub(super) unplayed: u64,
}

/// From everybody's being there to the first turn.
const HEAD_START: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(100);
/// Beyond the time that connecting takes at the given rate.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// After a connection broke, what is under way cannot be counted exactly: nothing must have come for so long.
const QUIET: Duration = Duration::from_millis(1500);

pub(super) async fn supervise(
    stage: Arc<Stage>,
    times: Times,
    resources: Resources,
    watch: Option<Arc<Watch>>,
) -> Result<Watched, AttackError> {
    let supervisor = Supervisor {
        stage,
        times,
        resources,
        watch,
    };
    let watched = supervisor.run().await;
    // In whatever way: goose is to end now.
    supervisor.stage.stop.send_replace(true);
    supervisor.everybody_left().await;
    // Whoever ended it while they left has ended it too.
    let interrupted = super::was_interrupted();
    goose::trigger_killswitch("the schedule has ended");
    watched.map(|watched| Watched {
        cut_short: watched.cut_short || interrupted,
        ..watched
    })
}

struct Supervisor {
    stage: Arc<Stage>,
    times: Times,
    resources: Resources,
    watch: Option<Arc<Watch>>,
}

impl Supervisor {
    async fn run(&self) -> Result<Watched, AttackError> {
        self.everybody_connects().await?;
        let own_memory = own_memory();
        let (go, began) = self.start()?;
        self.stage.go.send_replace(Some(go));
        while let Some(left) = go.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if super::was_interrupted() {
                return Err(AttackError::Interrupted);
            }
            tokio::time::sleep(TICK.min(left)).await;
        }
        let (cpu, lasts) = (own_cpu(), self.stage.script.lasts());
        let eyes = Eyes::open(self.resources.clone(), go);
        let (mut measured_from, mut cut_short) = (None, false);
        while go.elapsed() < lasts {
            if self.stage.script.measures(go.elapsed()) {
                measured_from.get_or_insert_with(|| (Instant::now(), own_cpu()));
            }
            tokio::time::sleep(TICK.min(lasts.saturating_sub(go.elapsed()))).await;
            self.glance("load", go.elapsed(), eyes.last());
            if self.is_over() {
                cut_short = true;
                break;
            }
        }
        let busy_cores = measured_from.map_or(0.0, |(since, before)| {
            let took = own_cpu().saturating_sub(before).as_secs_f64();
            took / since.elapsed().as_secs_f64().max(1e-9)
        });
        self.drain(go, &eyes).await;
        // Then what was still to come is missing as well.
        cut_short |= self.is_over();
        Ok(Watched {
            lasted: go.elapsed(),
            own_cpu: own_cpu().saturating_sub(cpu),
            busy_cores,
            own_memory,
            began,
            cut_short,
            unplayed: if cut_short { 0 } else { self.playing() },
            usage: eyes.close(),
        })
    }

    /// Waits for what is under way, as long as it may take.
    async fn drain(&self, go: Instant, eyes: &Eyes) {
        let mut drain = Drain::begin(self.times.drain_within, Instant::now());
        let (mut last, mut quiet_since) = (self.activity(), Instant::now());
        while drain.goes_on(Instant::now(), self.playing()) && !self.is_over() {
            if self.activity() != last {
                (last, quiet_since) = (self.activity(), Instant::now());
            }
            if self.nothing_comes(quiet_since) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.glance("drain", go.elapsed(), eyes.last());
        }
    }

    /// Whether all turns are taken and all that they brought about has come.
    fn nothing_comes(&self, quiet_since: Instant) -> bool {
        if self.playing() > 0 {
            return false;
        }
        let progress = &self.stage.progress;
        let exact = progress.disconnects.load(Ordering::Relaxed) == 0;
        let under_way = progress.under_way.load(Ordering::Relaxed);
        if exact {
            return under_way == 0;
        }
        let all_answered = progress.awaited.load(Ordering::Relaxed) == 0;
        all_answered && under_way <= 0 && quiet_since.elapsed() > QUIET
    }

    async fn everybody_connects(&self) -> Result<(), AttackError> {
        let devices = self.stage.script.cast.devices.len() as u64;
        let takes = Duration::from_secs(devices / u64::from(self.times.connects_per_second.max(1)));
        let until = Instant::now() + takes + CONNECT_PATIENCE;
        loop {
            let progress = &self.stage.progress;
            let connected = progress.seated.load(Ordering::Relaxed);
            if connected == devices {
                return Ok(());
            }
            let failed = progress.failed_to_connect.load(Ordering::Relaxed);
            if super::was_interrupted() {
                return Err(AttackError::Interrupted);
            }
            if self.is_over() || Instant::now() > until || connected + failed == devices {
                return Err(AttackError::Connect {
                    connected,
                    devices,
                    why: self.stage.first_failure(),
                });
            }
            self.glance("connect", Duration::ZERO, None);
            tokio::time::sleep(TICK / 2).await;
        }
    }

    fn start(&self) -> Result<(Instant, SystemTime), AttackError> {
        let (now, here) = (SystemTime::now(), Instant::now());
        match self.times.start_at {
            None => Ok((here + HEAD_START, now + HEAD_START)),
            Some(agreed) => match agreed.duration_since(now) {
                Ok(left) => Ok((here + left, agreed)),
                Err(_) => Err(AttackError::TooLate),
            },
        }
    }

    fn is_over(&self) -> bool {
        *self.stage.stop.borrow() || super::was_interrupted()
    }

    fn playing(&self) -> u64 {
        self.stage.progress.playing.load(Ordering::Acquire)
    }

    fn activity(&self) -> u64 {
        let progress = &self.stage.progress;
        progress.acked.load(Ordering::Relaxed) + progress.delivered.load(Ordering::Relaxed)
    }

    async fn everybody_left(&self) {
        let until = Instant::now() + Duration::from_secs(15);
        let progress = &self.stage.progress;
        while progress.left.load(Ordering::Relaxed) < progress.seated.load(Ordering::Relaxed) && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn glance(&self, phase: &'static str, elapsed: Duration, usage: Option<Usage>) {
        let Some(watch) = &self.watch else { return };
        let progress = &self.stage.progress;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let mut glance = Glance {
            phase,
            elapsed,
            lasts: self.stage.script.lasts(),
            connected: count(&progress.seated),
            devices: self.stage.script.cast.devices.len() as u64,
            sent: count(&progress.sent),
            acked: count(&progress.acked),
            delivered: count(&progress.delivered),
            errors: count(&progress.errors),
            under_way: progress.under_way.load(Ordering::Relaxed),
            disconnects: count(&progress.disconnects),
            usage,
            ..Glance::default()
        };
        // The second before this one is handed in by all, the one before it surely.
        let second = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX).saturating_sub(2);
        self.stage.recorded(|recorded| {
            let of = |kind| {
                let row = recorded.recorder.row(kind)?;
                row.seconds.get(&second).map(|(histogram, _)| Summary::of(histogram))
            };
            glance.deliver = of(Kind::Deliver).map(|summary| (summary.p50, summary.p99));
            glance.lateness = of(Kind::Turn).map(|summary| summary.p99);
            let counts = recorded.tally.of(second);
            (glance.offered_per_second, glance.sent_per_second) = (counts.offered as f64, counts.done as f64);
        });
        watch(&glance);
    }
}
