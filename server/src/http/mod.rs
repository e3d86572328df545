//! REST: parse, one call, respond.

pub mod admission;
pub mod auth;
pub mod body;
pub mod docs;
mod drain;
pub mod envelope;
pub mod messages;
pub mod operations;
pub mod query;
pub mod users;
