//! The rules of the chat, a file per noun. Knows no axum, no Socket.IO and no database.

pub mod fields;
