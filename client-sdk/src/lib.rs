//! The typed client of the chat API, for bots, bridges, terminal clients and tests of services.
//!
//! ```no_run
//! use chat_client::{Client, Result};
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let chat = Client::builder("http://localhost:3000").login("me@example.com", "my password").await?;
//!     let mut messages = chat.messages(); // a Stream: live and missed ones, each chat in order, each once
//!     while let Some(message) = messages.next().await {
//!         println!("{}: {}", message.sender, message.content);
//!         chat.send(&message.sender, "hello").await?; // acknowledged is durable; repeated safely under one id
//!     }
//!     Ok(())
//! }
//! ```
//!
//! | | |
//! |---|---|
//! | [`Client`], [`Builder`] | logging in, requests, streams, sending |
//! | [`Messages`], [`Events`] | what arrives |
//! | [`Send`], [`Outgoing`] | what leaves |
//! | [`rest`] | what requests and lists are |
//! | [`state`] | timelines, presence, unread counts, typing |
//! | [`realtime`] | one connection, close to the wire |
//! | [`guide`] | how delivery works, and what is left to you |
//! | [`protocol`] | the types of the wire |
//! | `testing` | with the feature of that name: a real server for your tests |
//!
//! Runs on tokio alone. wasm and a blocking interface are out of scope. Log lines and spans go to `tracing`, under targets that
//! begin with `chat_client`: ids are in them; tokens, passwords and contents are not.

#![deny(missing_docs)]

mod builder;
mod client;
mod error;
mod event;
mod file;
mod ids;
mod live;
mod messages;
mod outgoing;
mod position;
pub mod realtime;
pub mod rest;
mod retry;
mod session;
mod spans;
pub mod state;
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

#[doc = include_str!("../docs/delivery.md")]
pub mod guide {}

/// The wire as Rust types: what the calls take and give.
pub use chat_protocol as protocol;
/// Passwords and tokens that neither print nor stay in memory: a `&str` or `String` becomes one by `into`.
pub use secrecy::SecretString;
