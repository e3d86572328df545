//! What runs the cases and records what they saw.

pub(crate) mod body;
mod case;
mod held;
mod http;
mod interruption;
mod judgement;
pub mod known;
mod pace;
pub mod preflight;
mod pulse;
pub mod quota;
mod runner;
mod socket;
mod sockets;
mod target;
pub mod transcript;
mod user;
mod verdict;
mod world;

pub use case::{Body, Case, Judging};
pub use http::{Answer, Request, operation};
pub(crate) use http::{FOREIGN, escaped, has_directive, is_foreign, lets_in};
pub use interruption::Interruption;
pub use judgement::{Failure, Outcome, Stop, Tally};
pub use pace::Limits;
pub use runner::{CaseResult, Cut, Finding, Plan, Run, THREADS, TRIES, run, run_one, try_one};
pub use socket::{Connection, Device, Refused, Transport};
pub(crate) use sockets::WebSocket;
pub use target::Target;
pub use transcript::{Record, Transcript};
pub use user::{PASSWORD, User};
pub use verdict::{Terms, Verdict};
pub(crate) use world::PATIENCE;
pub use world::World;
