//! The reference server of the chat API: axum for REST, Socket.IO for events, an embedded store.
//!
//! Floors: `http` and `socket` parse and answer, `chat` decides, `store` keeps, `cluster` reaches the devices.

#[macro_use]
pub mod fault;

pub mod app;
pub mod auth;
pub mod chat;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod error;
pub mod http;
pub mod id;
pub mod metrics;
pub mod peer;
pub mod router;
pub mod serve;
pub mod socket;
pub mod store;
pub mod telemetry;

pub use error::{Error, Result};
