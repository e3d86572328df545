//! Who is connected to this process, with what status.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chat_protocol::{Status, Timestamp, UserId};

use super::{Device, DeviceId, ServerEvent};
use crate::metrics::Metrics;
use crate::store::SessionId;

/// How long a bulk delivery waits for room in one device's buffer before it calls the device slow.
const BULK_PATIENCE: Duration = Duration::from_secs(5);

/// Users, their devices and their presence. One lock, held for moments, never across an await.
pub struct Registry {
    state: RwLock<State>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    users: HashMap<UserId, Entry>,
    /// Users that others see as online, in the order of the list of online users.
    visible: BTreeSet<UserId>,
}

struct Entry {
    devices: Vec<(Arc<dyn Device>, SessionId)>,
    presence: Presence,
    /// Raised whenever a device comes or goes: a grace period that began before is void.
    epoch: u64,
    /// Whether others were told that the user is here (or would have been, had they been visible).
    announced: bool,
}

/// What a connected user shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// As chosen; [`Status::Offline`] is invisible.
    pub status: Status,
    /// As others see it.
    pub last_seen: Option<Timestamp>,
}

/// What [`Registry::attach`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// The user was away for good before: others are to be told.
    pub first: bool,
    pub presence: Presence,
}

impl Registry {
    pub fn new(metrics: Metrics) -> Self {
        Self {
            state: RwLock::default(),
            metrics,
        }
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        self.metrics
            .users_online
            .set(i64::try_from(state.users.len()).unwrap_or(i64::MAX));
        result
    }

    /// Adds a device, or moves it to a newer session. `greet` runs before any event can reach the device.
    pub fn attach(
        &self,
        user: &UserId,
        session: &SessionId,
        device: Arc<dyn Device>,
        now: Timestamp,
        greet: impl FnOnce(Presence),
    ) -> Attached {
        self.write(|state| {
            let entry = state.users.entry(user.clone()).or_insert_with(|| Entry {
                devices: Vec::new(),
                presence: Presence {
                    status: Status::Online,
                    last_seen: Some(now),
                },
                epoch: 0,
                announced: false,
            });
            entry.epoch += 1;
            let first = !std::mem::replace(&mut entry.announced, true);
            if first {
                entry.presence = Presence {
                    status: Status::Online,
                    last_seen: Some(now),
                };
                state.visible.insert(user.clone());
            }
            greet(entry.presence);
            let id = device.id();
            entry.devices.retain(|(known, _)| known.id() != id);
            entry.devices.push((device, session.clone()));
            Attached {
                first,
                presence: entry.presence,
            }
        })
    }

    /// Removes a device. `Some(epoch)` when it was the user's last: the grace period begins.
    pub fn detach(&self, user: &UserId, device: DeviceId) -> Option<u64> {
        self.write(|state| {
            let entry = state.users.get_mut(user)?;
            let before = entry.devices.len();
            entry.devices.retain(|(known, _)| known.id() != device);
            if entry.devices.len() == before {
                return None;
            }
            entry.epoch += 1;
            entry.devices.is_empty().then_some(entry.epoch)
        })
    }

    /// Ends the grace period begun at `epoch`, unless somebody came back. Returns the presence at the end; `last_seen` is
    /// `now` for a visible user and stays for an invisible one. The entry stays until [`Self::forget`].
    pub fn leave(&self, user: &UserId, epoch: u64, now: Timestamp) -> Option<Presence> {
        self.write(|state| {
            let entry = state.users.get_mut(user).filter(|e| e.epoch == epoch && e.announced)?;
            entry.announced = false;
            let left = entry.presence;
            if left.status != Status::Offline {
                entry.presence.last_seen = Some(now);
            }
            entry.presence.status = Status::Offline;
            state.visible.remove(user);
            Some(Presence {
                last_seen: entry.presence.last_seen,
                ..left
            })
        })
    }

    /// Forgets a user who left, once the store knows their last-seen time.
    pub fn forget(&self, user: &UserId, epoch: u64) {
        self.write(|state| {
            if state.users.get(user).is_some_and(|e| e.epoch == epoch && !e.announced) {
                state.users.remove(user);
            }
        });
    }

    /// Changes the chosen status. `None` when nothing changed or the user is not connected.
    pub fn set_status(&self, user: &UserId, status: Status, now: Timestamp) -> Option<Presence> {
        self.write(|state| {
            let entry = state.users.get_mut(user).filter(|e| e.announced)?;
            if entry.presence.status == status {
                return None;
            }
            entry.presence = Presence {
                status,
                last_seen: Some(now),
            };
            if status == Status::Offline {
                state.visible.remove(user);
            } else {
                state.visible.insert(user.clone());
            }
            Some(entry.presence)
        })
    }

    /// `None`: not connected here, the store knows the last-seen time.
    pub fn presence(&self, user: &UserId) -> Option<Presence> {
        self.read(|state| state.users.get(user).map(|e| e.presence))
    }

    pub fn is_connected(&self, user: &UserId) -> bool {
        self.read(|state| state.users.get(user).is_some_and(|e| !e.devices.is_empty()))
    }

    /// Visible users after `after`, by id; at most `limit`.
    pub fn visible(&self, after: Option<&UserId>, limit: usize) -> Vec<UserId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.read(|state| state.visible.range((from, Unbounded)).take(limit).cloned().collect())
    }

    /// Everybody with a device.
    pub fn connected(&self) -> Vec<UserId> {
        self.read(|state| {
            let with_devices = state.users.iter().filter(|(_, e)| !e.devices.is_empty());
            with_devices.map(|(user, _)| user.clone()).collect()
        })
    }

    /// Sends an event to every device of a user but one. Who does not keep up is disconnected.
    pub fn deliver(&self, user: &UserId, except: Option<DeviceId>, event: &ServerEvent) {
        for device in self.devices(user, except) {
            if device.send(event).is_err() {
                self.drop_slow(&*device);
            }
        }
    }

    /// As [`Self::deliver`] for very many events at once: waits for room instead of calling a device slow at once.
    pub async fn deliver_bulk(&self, user: &UserId, except: Option<DeviceId>, events: &[ServerEvent]) {
        for device in self.devices(user, except) {
            let deadline = tokio::time::Instant::now() + BULK_PATIENCE;
            'events: for event in events {
                while device.send(event).is_err() {
                    if tokio::time::Instant::now() > deadline {
                        self.drop_slow(&*device);
                        break 'events;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    /// Closes the devices of these sessions of a user.
    pub fn close_sessions(&self, user: &UserId, ended: impl Fn(&SessionId) -> bool) {
        let devices: Vec<_> = self.read(|state| {
            let entry = state.users.get(user);
            let devices = entry.into_iter().flat_map(|e| &e.devices);
            devices.filter(|(_, s)| ended(s)).map(|(d, _)| d.clone()).collect()
        });
        devices.iter().for_each(|device| device.close());
    }

    /// Closes every device.
    pub fn close_all(&self) {
        for user in self.connected() {
            self.close_sessions(&user, |_| true);
        }
    }

    fn devices(&self, user: &UserId, except: Option<DeviceId>) -> Vec<Arc<dyn Device>> {
        self.read(|state| {
            let Some(entry) = state.users.get(user) else {
                return Vec::new();
            };
            let wanted = entry.devices.iter().filter(|(d, _)| Some(d.id()) != except);
            wanted.map(|(d, _)| d.clone()).collect()
        })
    }

    fn drop_slow(&self, device: &dyn Device) {
        self.metrics.slow_consumers.inc();
        device.close_slow();
    }
}
