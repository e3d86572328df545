//! Being logged in: tokens, where they are kept, and how they stay fresh.

mod keeper;
mod store;

pub(crate) use keeper::{Credentials, Held, Keeper, repeatedly, stored};
pub use store::{FileTokens, MemoryTokens, StoredTokens, TokenStore};
