//! The Socket.IO side of the server: real ports, the real store, a raw client that hides nothing.
//!
//! That something does *not* happen is shown by a fence: a later event that must arrive with nothing before it. Time-outs are
//! tested on a server whose clock stands still until the test moves it ([`server::Server::with_clock`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its numbers"
)]

mod config;
mod device;
mod person;
mod polling;
mod server;
mod wire;

mod crowd;
mod engineio;
mod events;
mod payloads;
mod presence;
mod sessions;
mod socketio;
