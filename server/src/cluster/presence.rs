//! Who is present, at which nodes, with what status.
//!
//! Every node keeps the presence of all nodes: what happens at others is told by frames, and a node that missed some asks for
//! everything. A user is present while a device is, at any node, and for the grace period of that node after its last device
//! left. Each node tells its own devices when a user comes or goes *by what it knows*: however the news of several nodes cross,
//! a device hears of a coming once. Of two presences of a user the one with the higher stamp holds, everywhere; of two with one
//! stamp, chosen at two nodes in the same millisecond, all nodes take the same one.

use std::collections::HashSet;
use std::sync::Arc;

use chat_protocol::{Status, Timestamp, UserId};

use super::frame::{News, NodeId, Shown, Told};
use super::registry::State;
use super::{Change, Device, DeviceId, Registry, ServerEvent};
use crate::store::SessionId;

pub(super) struct Entry {
    pub(super) devices: Vec<(Arc<dyn Device>, SessionId)>,
    presence: Presence,
    stamp: u64,
    /// Raised whenever a device comes or goes: a grace period that began before is void.
    epoch: u64,
    /// Present at this node: has a device, or had one less than a grace period ago.
    here: bool,
    /// The other nodes at which the user is present.
    elsewhere: Vec<NodeId>,
}

/// What a present user shows.
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
    /// The user was present at no node before: others are to be told.
    pub first: bool,
    /// The user was not present at this node before: other nodes are to be told.
    pub first_here: bool,
    /// The device was here before, perhaps for another session.
    pub again: bool,
}

impl Entry {
    fn new(now: Timestamp) -> Self {
        Self {
            devices: Vec::new(),
            presence: Presence {
                status: Status::Online,
                last_seen: Some(now),
            },
            stamp: 0,
            epoch: 0,
            here: false,
            elsewhere: Vec::new(),
        }
    }

    fn present(&self) -> bool {
        self.here || !self.elsewhere.is_empty()
    }

    /// Now, and always after what was there: clocks of nodes differ, and one second may see several changes.
    fn show(&mut self, presence: Presence, now: Timestamp) {
        self.presence = presence;
        self.stamp = (self.stamp + 1).max(u64::try_from(now.as_millis()).unwrap_or(0));
    }

    /// Whether what another node tells holds, rather than what is known here.
    fn yields_to(&self, shown: &Shown) -> bool {
        let here = (self.stamp, self.presence.status as u8, self.presence.last_seen);
        here < (shown.stamp, shown.status as u8, shown.last_seen)
    }

    fn shown(&self, user: &UserId) -> Shown {
        Shown {
            user: user.clone(),
            status: self.presence.status,
            last_seen: self.presence.last_seen,
            stamp: self.stamp,
        }
    }
}

impl State {
    /// Puts the user into the list of online users, or takes them out.
    fn place(&mut self, user: &UserId) {
        let visible = |e: &Entry| {
            (e.present() || fault!(GoneListed))
                && (e.presence.status != Status::Offline || fault!(InvisibleListed, GoneListed))
        };
        if !self.users.get(user).is_some_and(visible) {
            self.visible.remove(user);
        } else if !self.visible.contains(user) {
            self.visible.insert(user.clone());
        }
    }

    fn come(&mut self, node: NodeId, shown: &Shown) -> bool {
        let now = shown.last_seen.unwrap_or_else(Timestamp::now);
        let entry = self.users.entry(shown.user.clone()).or_insert_with(|| Entry::new(now));
        let came = !entry.present();
        if !entry.elsewhere.contains(&node) {
            entry.elsewhere.push(node);
        }
        if came || entry.yields_to(shown) {
            entry.presence = shown.presence();
            entry.stamp = shown.stamp.max(entry.stamp);
        }
        let visible = entry.presence.status != Status::Offline;
        self.place(&shown.user);
        came && visible
    }

    fn go(&mut self, node: NodeId, user: &UserId) -> bool {
        let Some(entry) = self.users.get_mut(user) else {
            return false;
        };
        let before = entry.elsewhere.len();
        entry.elsewhere.retain(|other| *other != node);
        if entry.elsewhere.len() == before || entry.present() {
            return false;
        }
        let visible = entry.presence.status != Status::Offline;
        self.users.remove(user);
        self.visible.remove(user);
        visible
    }
}

impl Registry {
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
            let entry = state.users.entry(user.clone()).or_insert_with(|| Entry::new(now));
            entry.epoch += 1;
            let back = fault!(NoGrace) && entry.devices.is_empty();
            let first = !entry.present() || back || fault!(OnlineForEachDevice);
            let first_here = !std::mem::replace(&mut entry.here, true) || back || fault!(OnlineForEachDevice);
            if first && !(fault!(StatusKept) && entry.stamp > 0) {
                let online = Presence {
                    status: Status::Online,
                    last_seen: Some(now),
                };
                entry.show(online, now);
            }
            greet(entry.presence);
            let (id, before) = (device.id(), entry.devices.len());
            entry.devices.retain(|(known, _)| known.id() != id);
            let again = entry.devices.len() < before;
            entry.devices.push((device, session.clone()));
            state.here += i64::from(first_here);
            state.place(user);
            Attached {
                first,
                first_here,
                again,
            }
        })
    }

    /// Takes back an [`Self::attach`] that was the first here and of which nobody was told: as if the device had never come.
    pub fn withdraw(&self, user: &UserId, device: DeviceId) {
        self.write(|state| {
            let Some(entry) = state.users.get_mut(user) else { return };
            entry.devices.retain(|(known, _)| known.id() != device);
            if !std::mem::take(&mut entry.here) {
                return;
            }
            let gone = !entry.present();
            state.here -= 1;
            if gone {
                state.users.remove(user);
            }
            state.place(user);
        });
    }

    /// Tells everybody in `told`, here when `attached` says that it is news, and the other nodes.
    pub fn tell_attached(&self, user: &UserId, attached: Attached, told: Option<Told>) {
        if !attached.first_here {
            return;
        }
        let _turn = self.telling();
        if attached.first {
            self.tell_here(told.as_ref());
        }
        if let Some(shown) = self.read(|state| state.users.get(user).map(|e| e.shown(user))) {
            self.tell_nodes(&News::Present { shown, told });
        }
    }

    /// Removes a device. `Some(epoch)` when it was the user's last at this node: the grace period begins.
    pub fn detach(&self, user: &UserId, device: DeviceId) -> Option<u64> {
        self.write(|state| {
            let entry = state.users.get_mut(user)?;
            let before = entry.devices.len();
            entry.devices.retain(|(known, _)| known.id() != device);
            if entry.devices.len() == before {
                return None;
            }
            entry.epoch += 1;
            (entry.devices.is_empty() || fault!(OfflineWithFirst)).then_some(entry.epoch)
        })
    }

    /// What others will see as the last-seen time when the grace period begun at `epoch` ends now: an invisible user's stands
    /// still. `None`: somebody came back.
    pub fn departs(&self, user: &UserId, epoch: u64, now: Timestamp) -> Option<Option<Timestamp>> {
        self.read(|state| {
            let entry = state.users.get(user).filter(|e| e.epoch == epoch && e.here)?;
            let visible = entry.presence.status != Status::Offline || fault!(InvisibleSeenLast);
            Some(if visible { Some(now) } else { entry.presence.last_seen })
        })
    }

    /// Ends the grace period begun at `epoch`, unless somebody came back, and tells everybody in `told` for whom it is news; whether it
    /// is. The entry stays until [`Self::forget`].
    pub fn leave(&self, user: &UserId, epoch: u64, last_seen: Option<Timestamp>, told: Option<Told>) -> bool {
        let _turn = self.telling();
        let left = self.write(|state| {
            let entry = state.users.get_mut(user).filter(|e| e.epoch == epoch && e.here)?;
            entry.here = false;
            let left = entry.presence;
            let gone = !entry.present();
            if gone && !fault!(StatusKept) {
                entry.presence = Presence {
                    status: Status::Offline,
                    last_seen,
                };
            }
            state.here -= 1;
            state.place(user);
            Some((gone, left))
        });
        let Some((gone, left)) = left else { return false };
        let is_news = gone && (left.status != Status::Offline || fault!(InvisibleLeavesLoudly));
        if is_news {
            self.tell_here(told.as_ref());
        }
        self.tell_nodes(&News::Left {
            user: user.clone(),
            last_seen,
            told,
        });
        is_news
    }

    /// Forgets a user who left, once the store knows their last-seen time.
    pub fn forget(&self, user: &UserId, epoch: u64) {
        self.write(|state| {
            if state
                .users
                .get(user)
                .is_some_and(|e| e.epoch == epoch && !e.present() && !fault!(StatusKept))
            {
                state.users.remove(user);
            }
        });
    }

    /// Changes the chosen status, at all nodes. `false` when nothing changed or the user is not connected here.
    pub fn set_status(&self, user: &UserId, status: Status, now: Timestamp) -> bool {
        let _turn = self.telling();
        let shown = self.write(|state| {
            let entry = state.users.get_mut(user).filter(|e| e.here)?;
            if entry.presence.status == status {
                return None;
            }
            let chosen = Presence {
                status,
                last_seen: Some(now),
            };
            entry.show(chosen, now);
            let shown = entry.shown(user);
            state.place(user);
            Some(shown)
        });
        let changed = shown.is_some();
        if let Some(shown) = shown {
            self.tell_nodes(&News::Status { shown });
        }
        changed
    }

    /// `None`: present nowhere, the store knows the last-seen time.
    pub fn presence(&self, user: &UserId) -> Option<Presence> {
        self.read(|state| state.users.get(user).map(|e| e.presence))
    }

    /// Visible users after `after`, by id; at most `limit`.
    pub fn visible(&self, after: Option<&UserId>, limit: usize) -> Vec<UserId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.read(|state| {
            state
                .visible
                .range::<UserId, _>((from, Unbounded))
                .take(limit)
                .cloned()
                .collect()
        })
    }

    /// Visible users who are present at this node alone: they leave with it.
    pub fn only_here(&self) -> Vec<UserId> {
        let visible = |e: &Entry| e.here && e.elsewhere.is_empty() && e.presence.status != Status::Offline;
        self.read(|state| {
            let leaving = state.users.iter().filter(|(_, e)| visible(e));
            leaving.map(|(user, _)| user.clone()).collect()
        })
    }

    /// Tells devices here of a change that was found out late, unless it is no longer so.
    pub fn tell_late(&self, change: &Change, told: &Told) {
        let _turn = self.telling();
        if self.read(|state| state.visible.contains(&change.user)) == change.online {
            self.tell_here(Some(told));
        }
    }

    /// Tells other nodes of everybody who is present here. What happens meanwhile is told after it.
    pub(super) fn tell_all(&self) {
        let _turn = self.telling();
        let users = self.read(|state| {
            let here = state.users.iter().filter(|(_, e)| e.here);
            here.map(|(user, e)| e.shown(user)).collect()
        });
        self.tell_nodes(&News::All { users });
    }

    /// A user came to another node. Returns a change of which nobody here was told.
    pub(super) fn came(&self, node: NodeId, shown: &Shown, told: Option<&Told>) -> Option<Change> {
        let _turn = self.telling();
        let came = self.write(|state| state.come(node, shown));
        self.news(came, told, || Change {
            user: shown.user.clone(),
            online: true,
            last_seen: None,
        })
    }

    /// A user left another node. Returns a change of which nobody here was told.
    pub(super) fn went(&self, node: NodeId, user: &UserId, told: Option<&Told>) -> Option<Change> {
        let _turn = self.telling();
        let went = self.write(|state| state.go(node, user));
        self.news(went, told, || Change {
            user: user.clone(),
            online: false,
            last_seen: None,
        })
    }

    /// A user chose another status at another node.
    pub(super) fn status_at(&self, shown: &Shown) {
        self.write(|state| {
            if let Some(entry) = state.users.get_mut(&shown.user).filter(|e| e.yields_to(shown)) {
                entry.presence = shown.presence();
                entry.stamp = shown.stamp;
                state.place(&shown.user);
            }
        });
    }

    /// These and no others are present at another node. `last_seen` is for those who are not. Returns what is new.
    pub(super) fn all_at(&self, node: NodeId, users: &[Shown], last_seen: Option<Timestamp>) -> Vec<Change> {
        let _turn = self.telling();
        let present: HashSet<&UserId> = users.iter().map(|shown| &shown.user).collect();
        self.write(|state| {
            let absent: Vec<UserId> = (state.users.iter())
                .filter(|(user, e)| e.elsewhere.contains(&node) && !present.contains(user))
                .map(|(user, _)| user.clone())
                .collect();
            let went = absent.into_iter().filter(|user| state.go(node, user));
            let mut changes: Vec<Change> = went
                .map(|user| Change {
                    user,
                    online: false,
                    last_seen,
                })
                .collect();
            for shown in users.iter().filter(|shown| state.come(node, shown)) {
                changes.push(Change {
                    user: shown.user.clone(),
                    online: true,
                    last_seen: None,
                });
            }
            changes
        })
    }

    fn news(&self, is_news: bool, told: Option<&Told>, change: impl FnOnce() -> Change) -> Option<Change> {
        match told {
            _ if !is_news => None,
            Some(_) => {
                self.tell_here(told);
                None
            }
            None => Some(change()),
        }
    }

    fn tell_here(&self, told: Option<&Told>) {
        let Some((told, event)) = told.and_then(|told| Some((told, told.event()?))) else {
            return;
        };
        let event = ServerEvent::Encoded(event);
        for user in &told.to {
            self.deliver_here(user, None, &event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Full;
    use super::*;
    use crate::metrics::Metrics;

    struct Silent;

    impl Device for Silent {
        fn id(&self) -> DeviceId {
            DeviceId(1)
        }

        fn send(&self, _: &ServerEvent) -> Result<(), Full> {
            Ok(())
        }

        fn close(&self) {}

        fn close_slow(&self) {}
    }

    fn node(ann: &UserId, now: Timestamp) -> Registry {
        let registry = Registry::new(Metrics::new(&mut Default::default()));
        registry.attach(ann, &SessionId::from("of ann"), Arc::new(Silent), now, |_| ());
        registry
    }

    fn shown(registry: &Registry, ann: &UserId) -> Shown {
        registry.read(|state| state.users[ann].shown(ann))
    }

    #[test]
    fn of_two_statuses_of_one_millisecond_all_nodes_show_the_same() {
        let (ann, now): (UserId, _) = ("ann".parse().unwrap(), Timestamp::now());
        for (here, there) in [(Status::Busy, Status::Away), (Status::Away, Status::Busy)] {
            let (a, b) = (node(&ann, now), node(&ann, now));
            a.came(NodeId::random(), &shown(&b, &ann), None);
            b.came(NodeId::random(), &shown(&a, &ann), None);
            assert!(a.set_status(&ann, here, now) && b.set_status(&ann, there, now));
            let (of_a, of_b) = (shown(&a, &ann), shown(&b, &ann));
            assert_eq!(of_a.stamp, of_b.stamp);
            a.status_at(&of_b);
            b.status_at(&of_a);
            assert_eq!(a.presence(&ann), b.presence(&ann));
        }
    }
}
