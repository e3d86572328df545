//! What keeps a client alive: the connection and its successors, what arrives in order and once, what is still to be sent.

mod baseline;
mod bell;
mod catch_up;
mod inbox;
mod lane;
mod line;
mod news;
mod outbox;
mod reader;
mod seen;
mod session;
mod supervisor;

pub(crate) use baseline::baseline;
pub(crate) use bell::{Bell, Stop};
pub(crate) use catch_up::conversation;
pub(crate) use inbox::{Gap, Inbox, Next, ReaderId};
pub(crate) use news::{News, Subscription};
pub use outbox::SendState;
pub(crate) use outbox::{Outbox, Queued};
pub(crate) use supervisor::run;
