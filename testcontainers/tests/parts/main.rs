//! The parts as their users have them: real servers, real processes, real sockets; MongoDB and Redis on every backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and some are processes that say what they have"
)]

mod left_behind;
mod mongo;
mod node;
mod process;
mod proxy;
mod redis;
mod sharing;
mod stamp;
