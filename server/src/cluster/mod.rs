//! Reaching the devices of users: who is connected, and how an event gets to them.
//!
//! Knows neither rules nor Socket.IO: `chat` decides who hears what, `socket` brings the devices.

mod device;
mod event;
pub mod limits;
mod registry;

pub use device::{Device, DeviceId, Full};
pub use event::ServerEvent;
pub use registry::{Attached, Presence, Registry};
