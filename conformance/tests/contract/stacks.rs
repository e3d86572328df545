//! Runs the chosen cases of a stack once, when its first test asks for a verdict.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_conformance::engine::{Case, CaseResult, Interruption, Plan, THREADS, Target, Terms, Verdict};
use chat_conformance::launch::{Kind, Launched, Launcher, Recipe, Stack};
use chat_conformance::report::reason;
use chat_spec::Profile;
use libtest_mimic::{Completion, Failed};

use crate::nextest;

/// As the program does; under nextest there is one case in a process.
const JOBS: usize = 12;
const DEADLINE: Duration = Duration::from_secs(600);
/// Lines of transcript shown of a failure.
const CONTEXT: usize = 12;

/// The verdicts of one stack, as far as they are known.
pub(crate) struct Judge {
    stack: Stack,
    chosen: Vec<Case>,
    terms: Terms,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    started: bool,
    /// Nothing more will come; with a reason when it should have.
    over: Option<String>,
    verdicts: BTreeMap<String, (Verdict, String)>,
}

impl Judge {
    pub(crate) fn new(stack: Stack, chosen: Vec<Case>) -> Self {
        let all = Profile::ALL.iter().copied();
        let claims = all.filter(|profile| *profile != Profile::Cluster || stack == Stack::Cluster);
        Self {
            stack,
            chosen,
            terms: Terms {
                claims: claims.collect(),
                ..Terms::default()
            },
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits for what comes of a case.
    pub(crate) fn verdict_of(&self, id: &str) -> Result<Completion, Failed> {
        let mut state = self.state();
        if !state.started {
            state.started = true;
            drop(state);
            // The test that asks first runs them all; the others wait.
            let ended = self.run();
            let mut state = self.state();
            state.over = Some(ended.err().unwrap_or_else(|| "it was not run".into()));
            drop(state);
            self.changed.notify_all();
            state = self.state();
            return told(&state, id);
        }
        while state.over.is_none() && !state.verdicts.contains_key(id) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        told(&state, id)
    }

    fn run(&self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let (target, _servers) = self.target().await?;
            let plan = Plan {
                target: &target,
                cases: &self.chosen,
                jobs: JOBS,
                seed: rand_seed(),
                deadline: DEADLINE,
                interruption: &Interruption::never(),
                watch: true,
                fail_fast: false,
                // A test that passes at the second try has found something.
                confirm: false,
                skip: &|case| {
                    let claimed = case
                        .profiles()
                        .iter()
                        .any(|profile| self.terms.claims.contains(profile));
                    (!claimed).then(|| "it is about several nodes".to_owned())
                },
                fails: &|result| self.terms.fails(result),
            };
            let done = plan.run(|result| self.hear(result)).await;
            done.cut.map_or(Ok(()), |cut| Err(cut.why))
        })
    }

    async fn target(&self) -> Result<(Target, Vec<Launched>), String> {
        let databases = self.stack.shared_databases().await.map_err(|error| error.to_string())?;
        let kind = Kind::reference().map_err(|error| error.to_string())?;
        let launcher = Launcher::of(Recipe::new(kind, databases.clone()));
        if let Some(nodes) = nextest::nodes(self.stack, &databases).await? {
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            return Ok((Target::of_nodes(&nodes, Some(launcher))?, Vec::new()));
        }
        let servers = match self.stack.nodes() {
            1 => launcher.launch(&[]).await.map(|one| vec![one]),
            more => launcher.launch_nodes(more, &[]).await,
        };
        let servers = servers.map_err(|error| error.to_string())?;
        let nodes: Vec<&str> = servers.iter().map(|server| server.base.as_str()).collect();
        Ok((Target::of_nodes(&nodes, Some(launcher))?, servers))
    }

    fn hear(&self, result: &CaseResult) {
        let verdict = self.terms.verdict(result, &[]);
        let told = (verdict, self.explained(result));
        self.state().verdicts.insert(result.case.id(), told);
        self.changed.notify_all();
    }

    /// What a reader of the test's output needs to know.
    fn explained(&self, result: &CaseResult) -> String {
        let mut text = reason(result).map(|why| format!("{why}\n")).unwrap_or_default();
        for failure in &result.tally.failures {
            if self.terms.counts(failure.requirement) {
                text += &format!(
                    "{}: {}\n  expected {}\n  got      {}\n",
                    failure.requirement.id, failure.requirement.text, failure.expected, failure.got
                );
                for line in result.transcript.lines(failure.seen, CONTEXT) {
                    text += &format!("    {line}\n");
                }
            }
        }
        text
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(state: &State, id: &str) -> Result<Completion, Failed> {
    match state.verdicts.get(id) {
        Some((Verdict::Pass | Verdict::Warn, _)) => Ok(Completion::Completed),
        Some((Verdict::Skipped, why)) => Ok(Completion::ignored_with(why.trim())),
        Some((verdict, why)) => Err(format!("{verdict}\n{why}").into()),
        None => Err(state.over.clone().unwrap_or_default().into()),
    }
}

/// `CONFORMANCE_SEED`, or one that changes; a failure shows what came of it.
fn rand_seed() -> u64 {
    let given = std::env::var("CONFORMANCE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()))
}
