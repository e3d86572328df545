//! Judges any server of the chat API against its contract.
//!
//! It speaks HTTP and Socket.IO by its own code and knows the wire from `chat-spec` alone, so that a mistake in our types
//! cannot hide a mistake in our server. `engine` runs and records, `cases`, `generated` and `ambient`
//! judge, `coverage` counts what was shown, `report` shows it.

pub mod ambient;
pub mod cases;
pub mod cli;
pub mod coverage;
pub mod engine;
pub mod generated;
pub mod launch;
pub mod mutants;
pub mod report;
