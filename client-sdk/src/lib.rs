//! The typed client of the chat API.

#![deny(missing_docs)]

mod builder;
mod client;
mod error;
mod event;
mod ids;
mod live;
mod messages;
mod outgoing;
mod position;
pub mod realtime;
pub mod rest;
mod retry;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

pub use builder::Builder;
pub use client::Client;
pub use error::{Error, ErrorKind, Result, Retryability};
pub use event::{ConnectionState, Event, Events};
pub use live::SendState;
pub use messages::Messages;
pub use outgoing::{Outgoing, Send};
pub use position::Position;
pub use retry::Backoff;
pub use session::{FileTokens, MemoryTokens, StoredTokens, TokenStore};

/// The wire as Rust types: what the calls take and give.
pub use chat_protocol as protocol;
/// Passwords and tokens that neither print nor stay in memory: a `&str` or `String` becomes one by `into`.
pub use secrecy::SecretString;
