//! Real faults under load: what was promised must hold all the same.
//!
//! Nodes are processes of the server's own program, MongoDB and Redis real ones. Each test has all of it for itself. A few
//! rounds by default; `FAULT_ROUNDS=full`, or a number, for more and longer ones; `FAULT_SEED` repeats what chance decided.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its numbers"
)]

mod chatter;
mod device;
mod dice;
mod history;
mod kill_mongod;
mod kill_node;
mod kill_redis;
mod load;
mod network;
mod parts;
mod person;
mod terminate;
mod world;
