//! The wire of the chat API as Rust types: ids, REST bodies, Socket.IO events and error codes.
//!
//! Nothing here does I/O. Both sides of the wire use these types; the conformance suite deliberately does not,
//! so that a wrong field name cannot pass by being wrong twice.

#![deny(missing_docs)]

mod auth;
mod chat;
mod error;
pub mod event;
mod ids;
mod message;
mod page;
mod text;
mod time;
mod user;

pub use auth::{ChangePassword, Login, Refresh, Register, Session, SignedIn, Tokens};
pub use chat::{Chat, ChatHistory};
pub use error::{ApiError, ErrorCode, FieldError};
pub use ids::{ChatId, ClientMessageId, InvalidId, MessageId, UserId};
pub use message::{EditMessage, MarkRead, MarkedRead, Message, MessageEnvelope, MessageType, SendMessage};
pub use page::Page;
pub use time::{InvalidTimestamp, Timestamp};
pub use user::{OwnUser, OwnUserEnvelope, ProfileUpdate, Status, User, UserEnvelope, UserStatus};
