//! One connected device, as the rules see it.

use super::ServerEvent;

/// Names a device for as long as it is connected; never used twice in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u64);

/// The device's buffer has no room: it does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Something that events can be sent to. Nothing here waits.
pub trait Device: Send + Sync + 'static {
    fn id(&self) -> DeviceId;

    /// Queues the event. A device that is gone takes it in silence.
    fn send(&self, event: &ServerEvent) -> Result<(), Full>;

    /// Ends the connection because its session, or the server, ends.
    fn close(&self);

    /// Ends the connection of a device that does not keep up. It catches up from history when it comes back.
    fn close_slow(&self);
}
