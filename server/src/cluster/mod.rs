//! Reaching the devices of users, at whichever node they are: who is connected, and how an event gets to them.
//!
//! Knows neither rules nor Socket.IO: `chat` decides who hears what, `socket` brings the devices. Reads never leave this
//! process: every node keeps what all nodes know of presence, and is told of changes.

mod device;
mod event;
mod frame;
pub mod limits;
mod notice;
mod outbox;
mod presence;
pub mod redis;
mod registry;

pub use device::{Device, DeviceId, Full};
pub use event::{Encoded, ServerEvent};
pub use frame::Told;
pub use notice::{Change, Notice, Notices};
pub use presence::{Attached, Presence};
pub use registry::{Ended, Registry};
