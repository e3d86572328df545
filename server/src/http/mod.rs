//! REST: parse, one call, respond.

pub mod admission;
pub mod auth;
pub mod body;
pub mod envelope;
pub mod messages;
pub mod operations;
pub mod peer;
pub mod query;
pub mod users;
