//! Two nodes that behave as one: real ports, one store, a real Redis that is stopped, killed and started again.
//!
//! What crosses nodes is waited for; that something does *not* happen is shown by a fence: a later event from the same node that
//! must arrive with nothing before it, for what a node tells has one order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its numbers"
)]

#[path = "../socket/config.rs"]
mod config;
#[allow(
    dead_code,
    reason = "the clients of the socket tests, of which not all is needed here"
)]
#[path = "../socket/device.rs"]
mod device;
#[allow(dead_code, reason = "as above")]
#[path = "../socket/person.rs"]
mod person;
#[allow(dead_code, reason = "as above")]
#[path = "../socket/wire.rs"]
mod wire;

mod deployment;

mod delivery;
mod faults;
mod limits;
mod network;
mod presence;
mod sessions;
