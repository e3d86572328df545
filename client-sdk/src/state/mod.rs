//! Small helpers on top of the streams: what a program shows of chats, users and typing.
//!
//! Each is a plain value that you feed with what comes out of [`Client::messages`](crate::Client::messages) and
//! [`Client::events`](crate::Client::events), and ask when you draw. None starts a task, but for [`TypingSignal`]. What happened
//! while the client was away is not told again: after [`Event::CaughtUp`](crate::Event::CaughtUp) and
//! [`Event::Missed`](crate::Event::Missed) call the `reload` of each.

mod presence;
mod timeline;
mod typing;
mod unread;

pub use presence::Presence;
pub use timeline::Timeline;
pub use typing::{TypingSignal, WhoTypes};
pub use unread::Unread;
