//! `chat-conformance prove`: the suite itself is judged.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chat_spec::Profile;
use clap::{Args, Subcommand, ValueEnum};

use super::error::ProofError;
use super::lawful::{Form, Unlike};
use super::repeat::{Against, Repetition, repeat};
use super::run::run;
use super::selection::Selection;
use crate::launch::Stack;

/// Judge the suite itself: does it fail when it should, and only then?
#[derive(Debug, Subcommand)]
pub enum Prove {
    /// Break the contract on purpose and see whether the suite notices.
    Mutants(Mutants),
    /// Run the whole suite again and again on the reference server: every failure is a false alarm.
    Flakes(Flakes),
    /// Judge a lawful server that is unlike the reference server: nothing may fail.
    Lawful(Others),
}

/// What is broken, and who looks.
#[derive(Debug, Args)]
pub struct Mutants {
    /// Only mutants whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    mutant: Vec<String>,
    /// Only cases whose area or name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    judge: Vec<String>,
    /// Only so many mutants, spread evenly over all.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Begin no more after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// Mutants at the same time.
    #[arg(long, value_name = "N", default_value_t = 24)]
    at_once: usize,
    /// Where mutants.md and mutants.json are written.
    #[arg(long, value_name = "DIR", default_value = "conformance-report")]
    into: PathBuf,
}

/// How often, and what.
#[derive(Debug, Args)]
pub struct Flakes {
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: usize,
    /// Only cases whose area or name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    judge: Vec<String>,
    /// Cases at the same time.
    #[arg(long, value_name = "N", default_value_t = 12)]
    at_once: usize,
    /// Where the report and the servers' logs of every run with an alarm are kept, in a directory named after its seed.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// How often, and which other server.
#[derive(Debug, Args)]
pub struct Others {
    #[command(flatten)]
    runs: Flakes,
    /// One without this extension, which it does not claim; may be given twice.
    #[arg(long, value_enum, value_name = "EXTENSION")]
    without: Vec<Extension>,
    /// How its ids look.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Form::Letters)]
    ids: Form,
}

/// What a server need not have.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Extension {
    Edits,
    Recovery,
}

impl Others {
    fn unlike(&self) -> Unlike {
        let profile = |extension: &Extension| match extension {
            Extension::Edits => Profile::Edits,
            Extension::Recovery => Profile::Recovery,
        };
        Unlike {
            ids: self.ids,
            without: self.without.iter().map(profile).collect(),
        }
    }
}

/// Runs it; whether the suite is proved. `stack` is none when nobody has asked for one.
pub async fn perform(prove: &Prove, stack: Option<Stack>) -> Result<bool, ProofError> {
    let said = |text: &str| {
        let _ = writeln!(io::stderr(), "{text}");
    };
    match prove {
        Prove::Mutants(mutants) => mutate(mutants, stack, &said).await,
        Prove::Flakes(flakes) => again(Against::Reference, flakes, stack, &said).await,
        Prove::Lawful(others) => again(Against::Lawful(others.unlike()), &others.runs, stack, &said).await,
    }
}

async fn again(
    against: Against,
    flakes: &Flakes,
    stack: Option<Stack>,
    said: &(dyn Fn(&str) + Sync),
) -> Result<bool, ProofError> {
    let repetition = Repetition {
        against,
        stack: stack.unwrap_or(Stack::Sqlite),
        only: flakes.judge.clone(),
        runs: flakes.runs,
        jobs: flakes.at_once,
        into: flakes.into.clone(),
    };
    Ok(repeat(&repetition, said).await?.tell(io::stdout())?)
}

async fn mutate(mutants: &Mutants, stack: Option<Stack>, said: &(dyn Fn(&str) + Sync)) -> Result<bool, ProofError> {
    let selection = Selection {
        only: mutants.mutant.clone(),
        cases: mutants.judge.clone(),
        sample: mutants.sample,
        stack,
        until: mutants
            .within
            .map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        jobs: mutants.at_once,
    };
    let proof = run(&selection, said).await?;
    io::stdout().write_all(proof.markdown(false).as_bytes())?;
    std::fs::create_dir_all(&mutants.into)?;
    std::fs::write(mutants.into.join("mutants.md"), proof.markdown(true))?;
    std::fs::write(mutants.into.join("mutants.json"), format!("{:#}", proof.json()))?;
    said(&format!(
        "each mutant and each requirement: {}",
        mutants.into.join("mutants.md").display()
    ));
    Ok(proof.problems().is_empty())
}
