//! The REST side of the server, seen from outside: real ports, a real store, and the program itself where its life is at stake.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod auth;
mod cli;
mod client;
#[path = "../socket/config.rs"]
mod config;
mod crash;
mod device;
mod headers;
mod healthcheck;
mod limits;
mod lists;
mod messages;
mod mongo;
mod operator;
mod person;
mod precedence;
mod program;
mod server;
mod shutdown;
mod store_failures;
mod users;
