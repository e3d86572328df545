//! The typed client of the chat API.

#![deny(missing_docs)]

mod error;
pub mod realtime;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, ErrorKind, Result, Retryability};

/// The wire as Rust types: what the calls take and give.
pub use chat_protocol as protocol;
