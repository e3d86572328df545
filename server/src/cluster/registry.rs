//! The devices of this process, and how an event gets to those of a user, here and at other nodes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use chat_protocol::UserId;

use super::frame::{self, News};
use super::outbox::Outbox;
use super::presence::Entry;
use super::{Device, DeviceId, Encoded, ServerEvent};
use crate::metrics::Metrics;
use crate::store::SessionId;

/// How long a bulk delivery waits for room in one device's buffer before it calls the device slow.
const BULK_PATIENCE: Duration = Duration::from_secs(5);
/// And how often it looks.
const BULK_PAUSE: Duration = Duration::from_millis(5);

/// Users, their devices and their presence. One lock, held for moments, never across an await.
pub struct Registry {
    state: RwLock<State>,
    /// Held while it is decided, told here and queued for other nodes who came or went: so all three have one order.
    telling: Mutex<()>,
    pub(super) outbox: Option<Outbox>,
    metrics: Metrics,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) users: HashMap<UserId, Entry>,
    /// Users that others see as online, in the order of the list of online users.
    pub(super) visible: BTreeSet<UserId>,
    /// How many users are present at this node.
    pub(super) here: i64,
}

/// Which sessions of a user ended.
#[derive(Debug, Clone, Copy)]
pub enum Ended<'a> {
    These(&'a [SessionId]),
    All,
}

impl Registry {
    /// Of a node on its own.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            state: RwLock::default(),
            telling: Mutex::default(),
            outbox: None,
            metrics,
        }
    }

    /// Of a node that tells others what happens.
    pub(super) fn joined(metrics: Metrics, outbox: Outbox) -> Self {
        Self {
            outbox: Some(outbox),
            ..Self::new(metrics)
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        self.metrics.users_online.set(state.here);
        result
    }

    pub(super) fn telling(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell_nodes(&self, news: &News) {
        if let Some(outbox) = &self.outbox {
            outbox.tell(news);
        }
    }

    /// Everybody with a device here.
    pub fn connected(&self) -> Vec<UserId> {
        self.read(|state| {
            let with_devices = state.users.iter().filter(|(_, e)| !e.devices.is_empty());
            with_devices.map(|(user, _)| user.clone()).collect()
        })
    }

    /// The user's id, if they have a device here.
    pub(super) fn connected_as(&self, user: &str) -> Option<UserId> {
        self.read(|state| {
            let (user, entry) = state.users.get_key_value(user)?;
            (!entry.devices.is_empty()).then(|| user.clone())
        })
    }

    pub(super) fn has_devices(&self) -> bool {
        self.read(|state| state.here > 0)
    }

    /// The sessions of all devices here.
    pub fn sessions(&self) -> Vec<(UserId, SessionId)> {
        self.read(|state| {
            let mut sessions = Vec::new();
            for (user, entry) in &state.users {
                sessions.extend(entry.devices.iter().map(|(_, session)| (user.clone(), session.clone())));
            }
            sessions
        })
    }

    /// Sends an event to every device of a user but one. Who does not keep up is disconnected.
    pub fn deliver(&self, user: &UserId, except: Option<DeviceId>, event: &ServerEvent) {
        self.deliver_to(&[(user, except)], event);
    }

    /// [`Self::deliver`] to several users in their order; the event is written once for all devices and all nodes.
    pub fn deliver_to(&self, to: &[(&UserId, Option<DeviceId>)], event: &ServerEvent) {
        let Some(outbox) = &self.outbox else {
            return to
                .iter()
                .for_each(|(user, except)| self.deliver_here(user, *except, event));
        };
        let Some(encoded) = written(event) else { return };
        let event = ServerEvent::Encoded(encoded);
        for (user, except) in to {
            self.deliver_here(user, *except, &event);
        }
        let ServerEvent::Encoded(encoded) = &event else { return };
        for part in to.chunks(frame::MOST_TOLD) {
            outbox.push(frame::event(part.iter().map(|(user, _)| *user), encoded, false));
        }
    }

    /// As [`Self::deliver_to`] for very many events at once: waits for room instead of calling a device slow at once.
    pub async fn deliver_bulk(&self, to: &[(&UserId, Option<DeviceId>)], events: &[ServerEvent]) {
        for (user, except) in to {
            self.deliver_bulk_here(user, *except, events).await;
        }
        let Some(outbox) = &self.outbox else { return };
        let deadline = tokio::time::Instant::now() + BULK_PATIENCE;
        for event in events {
            // While the others cannot be reached, nothing gets better by waiting.
            while !outbox.has_room() && outbox.is_up() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(BULK_PAUSE).await;
            }
            if let Some(encoded) = written(event) {
                outbox.push(frame::event(to.iter().map(|(user, _)| *user), &encoded, true));
            }
        }
    }

    /// To the devices of this process alone.
    pub(super) fn deliver_here(&self, user: &UserId, except: Option<DeviceId>, event: &ServerEvent) {
        for device in self.devices(user, except) {
            if device.send(event).is_err() {
                self.drop_slow(&*device);
            }
        }
    }

    pub(super) async fn deliver_bulk_here(&self, user: &UserId, except: Option<DeviceId>, events: &[ServerEvent]) {
        for device in self.devices(user, except) {
            let deadline = tokio::time::Instant::now() + BULK_PATIENCE;
            'events: for event in events {
                while device.send(event).is_err() {
                    if tokio::time::Instant::now() > deadline {
                        self.drop_slow(&*device);
                        break 'events;
                    }
                    tokio::time::sleep(BULK_PAUSE).await;
                }
            }
        }
    }

    /// Closes the devices of sessions of a user, at every node.
    pub fn end_sessions(&self, user: &UserId, ended: Ended<'_>) {
        self.close_here(user, ended);
        if fault!(SessionsPerNode) {
            return;
        }
        self.tell_nodes(&News::Ended {
            user: user.clone(),
            sessions: match ended {
                Ended::These(sessions) => Some(sessions.to_vec()),
                Ended::All => None,
            },
        });
    }

    /// Closes the devices of sessions of a user at this node.
    pub fn close_here(&self, user: &UserId, ended: Ended<'_>) {
        let devices: Vec<_> = self.read(|state| {
            let entry = state.users.get(user);
            let devices = entry.into_iter().flat_map(|e| &e.devices);
            let devices = devices.filter(|(_, session)| match ended {
                Ended::These(sessions) => sessions.contains(session),
                Ended::All => true,
            });
            devices.map(|(device, _)| device.clone()).collect()
        });
        devices.iter().for_each(|device| device.close());
    }

    fn devices(&self, user: &UserId, except: Option<DeviceId>) -> Vec<Arc<dyn Device>> {
        self.read(|state| {
            let Some(entry) = state.users.get(user) else {
                return Vec::new();
            };
            let wanted = entry.devices.iter().filter(|(d, _)| Some(d.id()) != except);
            let most = if fault!(FirstDeviceOnly) { 1 } else { usize::MAX };
            wanted.map(|(d, _)| d.clone()).take(most).collect()
        })
    }

    fn drop_slow(&self, device: &dyn Device) {
        self.metrics.slow_consumers.inc();
        device.close_slow();
    }
}

/// Our own events can all be written, so a failure is ours, and told.
fn written(event: &ServerEvent) -> Option<Encoded> {
    let encoded = event.encode();
    if let Err(error) = &encoded {
        tracing::error!(%error, event = event.name(), "an event could not be written");
    }
    encoded.ok()
}
