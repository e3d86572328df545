//! Proof that the suite can fail: the contract is broken on purpose, and some case has to report it.
//!
//! The wire is broken by a proxy between the suite and the reference server, in every way that `catalogue` makes from the
//! contract. Mistakes that only a server can make are switched on in a build of it that has them (feature `faults`). What the
//! suite does not notice is alive, and stands with its reason in `mutants.toml`.

mod alive;
mod baseline;
mod bench;
mod catalogue;
pub mod command;
mod edit;
mod error;
mod faults;
mod hunt;
mod lawful;
mod mutant;
mod mutation;
mod own;
mod part;
mod proof;
pub mod proxy;
mod recorder;
mod repeat;
mod run;
mod selection;
mod unit;

pub use error::ProofError;
pub use lawful::{Form, Unlike};
pub use proof::{Count, Proof};
pub use repeat::{Against, Alarms, Repetition, repeat};
pub use run::run;
pub use selection::Selection;

/// Of the suite: a mutant meets the same users and the same chance as the run without one.
const SEED: u64 = 5;

/// What the reference server is known not to keep: it says nothing about a mutant.
const KNOWN: &[&str] = &["socket.handshake.error-data", "transport.heartbeat.first-ping"];

/// What several nodes of it are known not to keep always, all of it a SHOULD: what a node has itself it delivers at once, and does not
/// wait for what another node stored a moment before.
const KNOWN_OF_SEVERAL: &[&str] = &["promises.seq.order-of-senders"];
