//! Passwords and tokens. Nothing here knows of users' names, requests or the store.

pub mod password;
pub mod token;
