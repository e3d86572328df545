//! The generator watches itself: a run in which it was the bottleneck says nothing about the server, and is invalid.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capacity::Objective;
use crate::latency::{Kind, Recorder, Summary};
use crate::rest::OUT_OF_FILES;
use crate::result::percentile;
use crate::tally::Tally;

/// How the generator itself did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generator {
    /// How late it did what was due, in milliseconds.
    pub lateness: Summary,
    /// Things that were due while it was measured.
    pub offered: u64,
    /// Of these, what was done in the same time.
    pub done: u64,
    /// Seconds of processor time, and how many cores there are for it and for a server that runs beside it. Of several generators
    /// the sums; cores that some of them share count once.
    pub cpu_seconds: f64,
    pub cores: usize,
    /// Over which time, from the first thing that was due to the end of the drain.
    pub lasted_seconds: f64,
    /// Cores that it kept busy while it was measured: in the drain it waits, and the longer the more the server has to do.
    #[serde(default)]
    pub busy_cores: f64,
    /// Resident memory in MiB once everybody was connected.
    pub memory: Option<f64>,
    pub connected: u64,
    /// Connections that broke, on purpose or not.
    pub disconnects: u64,
    /// Arrivals that it was too slow to take.
    pub overrun: u64,
    /// Devices that had turns left when there was no more time for them: what they asked for last, nobody stayed to see.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unplayed: u64,
    /// Why the run is invalid; empty when it is not.
    pub faults: Vec<String>,
}

/// What was seen of it beside what the recorder has.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub lasted: Duration,
    pub cpu: Duration,
    pub busy_cores: f64,
    pub memory: Option<f64>,
    pub connected: u64,
    pub disconnects: u64,
    pub overrun: u64,
    pub unplayed: u64,
    pub cores: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// It may be late by this part of what the server is allowed.
const LATENESS: f64 = 0.2;
/// At this quantile, or at the one that is asked of the server if that is higher.
const QUANTILE: f64 = 0.99;
/// What must have been done of what was due.
const DONE: f64 = 0.99;
/// Of all cores, what it may take: beyond, it waits for itself.
const CPU: f64 = 0.9;

impl Generator {
    /// Judges it by what the run asked of the server: whoever measures 100 ms may be late by 20.
    #[must_use]
    pub fn judge(
        recorder: &Recorder,
        tally: &Tally,
        seen: Seen,
        measured: impl Fn(u32) -> bool,
        asked: &Objective,
    ) -> Self {
        let lateness = recorder
            .row(Kind::Turn)
            .map(|row| Summary::of(&row.total))
            .unwrap_or_default();
        let counts = tally.sum(measured);
        let mut generator = Self {
            lateness,
            offered: counts.offered,
            done: counts.done,
            cpu_seconds: seen.cpu.as_secs_f64(),
            cores: seen.cores,
            lasted_seconds: seen.lasted.as_secs_f64(),
            busy_cores: seen.busy_cores,
            memory: seen.memory,
            connected: seen.connected,
            disconnects: seen.disconnects,
            overrun: seen.overrun,
            unplayed: seen.unplayed,
            faults: Vec::new(),
        };
        generator.faults = generator.find_faults(asked, recorder);
        generator
    }

    /// The part of all cores that it took while it was measured.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        self.busy_cores / self.cores.max(1) as f64
    }

    fn find_faults(&self, asked: &Objective, recorder: &Recorder) -> Vec<String> {
        let mut faults = Vec::new();
        let allowed = asked.below_ms * LATENESS;
        // Whoever asks for a rarer one is told what its own lateness makes of that one.
        let quantile = asked.quantile.max(QUANTILE);
        let turns = recorder.row(Kind::Turn).map(|row| &row.total);
        let late = turns.map_or(0.0, |turns| turns.value_at_quantile(quantile) as f64 / 1000.0);
        if late > allowed {
            faults.push(format!(
                "it was late by {late:.1} ms at {}, and {allowed:.1} ms are allowed",
                percentile(quantile)
            ));
        }
        if self.offered > 0 && (self.done as f64) < DONE * self.offered as f64 {
            faults.push(format!(
                "it did {} of {} things that were due in time",
                self.done, self.offered
            ));
        }
        if self.cpu_share() > CPU {
            faults.push(format!(
                "it took {:.0} % of all {} cores itself",
                self.cpu_share() * 100.0,
                self.cores
            ));
        }
        if self.overrun > 0 {
            faults.push(format!("it was too slow to take {} arrivals", self.overrun));
        }
        let out_of_files = recorder.rows().filter_map(|(_, row)| row.errors.get(OUT_OF_FILES));
        let out_of_files: u64 = out_of_files.sum();
        if out_of_files > 0 {
            faults.push(format!(
                "it had as many files open as it may, and could not open {out_of_files} connections: raise the limit (ulimit -Hn)"
            ));
        }
        if self.unplayed > 0 {
            faults.push(format!(
                "{} devices were so far behind that they never took their last turns",
                self.unplayed
            ));
        }
        faults
    }

    /// Adds another generator of the same run, but for its cores: [`Self::beside`] knows which they share.
    pub fn add(&mut self, other: &Self, lateness: Summary) {
        self.lateness = lateness;
        self.offered += other.offered;
        self.done += other.done;
        self.cpu_seconds += other.cpu_seconds;
        self.lasted_seconds = self.lasted_seconds.max(other.lasted_seconds);
        self.busy_cores += other.busy_cores;
        self.memory = self.memory.zip(other.memory).map(|(one, two)| one + two);
        self.connected += other.connected;
        self.disconnects += other.disconnects;
        self.overrun += other.overrun;
        self.unplayed += other.unplayed;
        self.faults.extend(other.faults.iter().cloned());
    }

    /// The cores of generators that share them, and what is wrong with them together when nothing is with each.
    #[must_use]
    pub fn beside(these: &[&Self]) -> (usize, Option<String>) {
        let cores = these.iter().map(|one| one.cores).max().unwrap_or(0);
        let busy: f64 = these.iter().map(|one| one.busy_cores).sum();
        let share = busy / cores.max(1) as f64;
        let too_much = share > CPU && these.iter().all(|one| one.cpu_share() <= CPU);
        let fault = too_much.then(|| {
            let (count, percent) = (these.len(), share * 100.0);
            format!("{count} generators on one machine took {percent:.0} % of all {cores} cores together")
        });
        (cores, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Sample;

    fn judged(late_ms: u64, done: u64, busy_cores: f64, overrun: u64) -> Generator {
        let mut recorder = Recorder::default();
        for _ in 0..1000 {
            recorder.record(&Sample {
                kind: Kind::Turn,
                due: Duration::ZERO,
                took: Duration::from_millis(late_ms),
                error: None,
                measured: true,
            });
        }
        let mut tally = Tally::default();
        tally.at(0).offered = 1000;
        tally.at(0).done = done;
        tally.at(9).offered = 5000;
        let seen = Seen {
            // A long drain, in which it waited.
            lasted: Duration::from_secs(100),
            cpu: Duration::from_secs(19),
            busy_cores,
            memory: None,
            connected: 2,
            disconnects: 0,
            overrun,
            unplayed: 0,
            cores: 2,
        };
        Generator::judge(&recorder, &tally, seen, |second| second < 5, &Objective::default())
    }

    #[test]
    fn a_generator_in_time_has_no_faults_and_one_that_is_not_says_why() {
        assert!(judged(15, 1000, 1.0, 0).faults.is_empty());
        for (faulty, word) in [
            (judged(25, 1000, 1.0, 0), "late"),
            (judged(1, 980, 1.0, 0), "980 of 1000"),
            (judged(1, 1000, 1.9, 0), "cores"),
            (judged(1, 1000, 0.1, 3), "arrivals"),
        ] {
            assert_eq!(faulty.faults.len(), 1, "{:?}", faulty.faults);
            assert!(faulty.faults[0].contains(word), "{:?}", faulty.faults);
        }
    }

    #[test]
    fn it_is_judged_at_the_quantile_that_the_server_is() {
        let mut recorder = Recorder::default();
        for number in 0..1000 {
            recorder.record(&Sample {
                kind: Kind::Turn,
                due: Duration::ZERO,
                took: Duration::from_millis(if number < 5 { 80 } else { 1 }),
                error: None,
                measured: true,
            });
        }
        let faults = |quantile| {
            let asked = Objective {
                quantile,
                ..Objective::default()
            };
            Generator::judge(&recorder, &Tally::default(), idle(), |_| true, &asked).faults
        };
        assert!(faults(0.5).is_empty() && faults(0.99).is_empty());
        assert_eq!(
            faults(0.999),
            ["it was late by 80.1 ms at p99.9, and 20.0 ms are allowed"]
        );
    }

    #[test]
    fn connections_that_it_had_no_files_for_are_its_own_fault() {
        let mut recorder = Recorder::default();
        recorder.record(&Sample {
            kind: Kind::History,
            due: Duration::ZERO,
            took: Duration::ZERO,
            error: Some(OUT_OF_FILES.into()),
            measured: true,
        });
        let faults = Generator::judge(&recorder, &Tally::default(), idle(), |_| true, &Objective::default()).faults;
        assert!(faults.len() == 1 && faults[0].contains("files"), "{faults:?}");
    }

    fn idle() -> Seen {
        Seen {
            lasted: Duration::from_secs(10),
            cpu: Duration::ZERO,
            busy_cores: 0.1,
            memory: None,
            connected: 2,
            disconnects: 0,
            overrun: 0,
            unplayed: 0,
            cores: 2,
        }
    }
}
