//! What keeps the proof from being made.

use std::io;

use super::alive::ExcuseError;
use crate::launch::LaunchError;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Excuse(#[from] ExcuseError),
    #[error("the target: {0}")]
    Target(String),
    #[error("a run with an alarm cannot be kept: {0}")]
    Kept(String),
    #[error("no case is left to judge a mutant")]
    NoCase,
    #[error("no mutant was tried: {0}")]
    NoMutant(String),
}
