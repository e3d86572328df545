//! The other half of the proof: no alarm where nothing is wrong. The whole suite, again and again, and against a lawful server
//! that is unlike the reference server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::hunt::reported;
use super::lawful::Lawful;
use super::proxy::{Proxy, Tamper};
use super::run::ProofError;
use crate::cases;
use crate::engine::{Case, CaseResult, Finding, Target, run};
use crate::launch::Launcher;

/// How often something went wrong that should not.
#[derive(Debug, Default)]
pub struct Alarms {
    pub runs: usize,
    /// Runs in which everything was as it should be.
    pub clean: usize,
    /// By case and what it said.
    pub by_case: BTreeMap<String, usize>,
    pub longest: Duration,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    Reference,
    /// The reference server behind [`Lawful`].
    Lawful,
}

/// Runs the suite so often, each time against a server of its own; `said` hears of each run.
pub async fn repeat(
    against: Against,
    only: &[String],
    runs: usize,
    jobs: usize,
    said: &(dyn Fn(&str) + Sync),
) -> Result<Alarms, ProofError> {
    let cases: Vec<Case> = cases::all()
        .filter(|case| {
            let name = format!("{}: {}", case.area, case.name);
            only.is_empty() || only.iter().any(|text| name.contains(text.as_str()))
        })
        .collect();
    let mut alarms = Alarms::default();
    for number in 1..=runs {
        let mut launcher = Launcher::reference()?;
        let server = launcher.launch(&[]).await?;
        let mut base = server.base.clone();
        let mut proxy = None;
        if against == Against::Lawful {
            let lawful: Arc<dyn Tamper> = Arc::new(Lawful::default());
            let started = Proxy::start(&base, lawful.clone()).await?;
            base.clone_from(&started.base);
            proxy = Some(started);
            launcher = launcher.through(lawful);
        }
        let target = Target::new(&base, Some(launcher)).map_err(ProofError::Target)?;
        let ran = run(&target, &cases, jobs, rand::random(), |_| {}).await;
        drop(proxy);
        drop(server);
        alarms.runs += 1;
        alarms.longest = alarms.longest.max(ran.took);
        let wrong: Vec<String> = ran.results.iter().filter_map(alarm).collect();
        alarms.clean += usize::from(wrong.is_empty());
        said(&format!(
            "run {number}: {:.1} s, {} alarms",
            ran.took.as_secs_f64(),
            wrong.len()
        ));
        for one in wrong {
            said(&format!("  {one}"));
            *alarms.by_case.entry(one).or_default() += 1;
        }
    }
    Ok(alarms)
}

/// What a case said that it should not have; what the reference server is known not to keep is none.
fn alarm(result: &CaseResult) -> Option<String> {
    let failed: Vec<String> = (result.tally.failures.iter())
        .filter(|failure| reported(result).any(|id| id == failure.requirement.id))
        .map(|failure| {
            format!(
                "{}: expected {}, got {}",
                failure.requirement.id, failure.expected, failure.got
            )
        })
        .collect();
    let title = result.title();
    match &result.finding {
        Finding::Judged if failed.is_empty() => None,
        Finding::Judged => Some(format!("{title}: {}", failed.join("; "))),
        other => Some(format!("{title}: {other:?} {}", failed.join("; "))),
    }
}

impl Alarms {
    /// For people.
    pub fn summary(&self) -> String {
        let flaky = self.runs - self.clean;
        let mut text = format!(
            "{} runs, {flaky} with a false alarm ({:.1} %); the longest took {:.1} s\n",
            self.runs,
            100.0 * flaky as f64 / self.runs.max(1) as f64,
            self.longest.as_secs_f64()
        );
        for (case, times) in &self.by_case {
            let _ = writeln!(text, "{times} × {case}");
        }
        text
    }

    /// Writes the summary; whether there was no alarm.
    pub fn tell(&self, mut out: impl io::Write) -> io::Result<bool> {
        out.write_all(self.summary().as_bytes())?;
        Ok(self.runs > 0 && self.clean == self.runs)
    }
}
