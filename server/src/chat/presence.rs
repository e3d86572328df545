//! Who is here, and who is told.
//!
//! Chosen statuses live as long as the user is connected; only last-seen times are stored, in a place of their own. What one
//! user does is told in the order in which it was done.

use std::sync::Arc;

use chat_protocol::event::{PresenceChange, TypingStatus};
use chat_protocol::{ErrorCode, OwnUser, Status, Timestamp, UserId, UserStatus};
use tokio::sync::MutexGuard;

use super::Chat;
use crate::cluster::{Device, DeviceId, Presence, ServerEvent};
use crate::store::{SessionId, UserRecord};
use crate::{Error, Result};

impl Chat {
    /// Brings a device in. `greet` gets the user as the owner sees it, before any other event can reach the device.
    pub async fn connect(
        &self,
        user: &UserId,
        session: &SessionId,
        device: Arc<dyn Device>,
        greet: impl FnOnce(OwnUser) + Send,
    ) -> Result<()> {
        let _turn = self.turn(user).await;
        let gone = || Error::code(ErrorCode::TokenInvalid);
        let record = self
            .store
            .user(user)
            .await?
            .filter(|user| user.active)
            .ok_or_else(gone)?;
        let now = Timestamp::now();
        let id = device.id();
        let attached = self.registry.attach(user, session, device, now, |presence| {
            greet(own(record.clone(), presence));
        });
        // The session may have ended while the device was not yet to be found.
        if self.store.session(session).await?.is_none() {
            self.disconnect(user, id);
            return Err(gone());
        }
        if attached.first {
            let change = change(&record, Status::Online);
            self.tell_partners(user, &ServerEvent::UserOnline(change)).await?;
            self.store.save_last_seen(user, now).await?;
        }
        Ok(())
    }

    /// Takes a device out; when it was the last, others are told after the grace period.
    pub fn disconnect(&self, user: &UserId, device: DeviceId) {
        if let Some(epoch) = self.registry.detach(user, device) {
            let (chat, user) = (self.clone(), user.clone());
            tokio::spawn(async move {
                tokio::time::sleep(chat.grace).await;
                chat.leave(&user, epoch).await;
            });
        }
    }

    async fn leave(&self, user: &UserId, epoch: u64) {
        let _turn = self.turn(user).await;
        let Some(left) = self.registry.leave(user, epoch, Timestamp::now()) else {
            return;
        };
        let result: Result<()> = async {
            if let Some(at) = left.last_seen {
                self.store.save_last_seen(user, at).await?;
            }
            self.registry.forget(user, epoch);
            if left.status != Status::Offline
                && let Some(record) = self.store.user(user).await?
            {
                let event = ServerEvent::UserOffline(change(&record, Status::Offline));
                self.tell_partners(user, &event).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = result {
            // The registry keeps what the store did not take, so that nobody sees an older time.
            tracing::warn!(
                user = user.as_str(),
                cause = error.cause(),
                "a departure could not be told"
            );
        }
    }

    /// Sets the chosen status. Nothing happens when it is the same.
    pub async fn update_status(&self, user: &UserId, status: Status) -> Result<()> {
        let _turn = self.turn(user).await;
        let now = Timestamp::now();
        if self.registry.set_status(user, status, now).is_none() {
            return Ok(());
        }
        self.store.save_last_seen(user, now).await?;
        let event = ServerEvent::UserStatusChanged(UserStatus {
            user_id: user.clone(),
            status,
            last_seen: Some(now),
        });
        self.registry.deliver(user, None, &event);
        self.tell_partners(user, &event).await
    }

    /// Everybody who is seen as online leaves now: the process ends, and with it every grace period.
    pub async fn save_departures(&self, now: Timestamp) {
        let users = self.registry.visible(None, usize::MAX);
        let saved = users.iter().map(|user| self.store.save_last_seen(user, now));
        let failed = futures_util::future::join_all(saved)
            .await
            .into_iter()
            .filter(Result::is_err);
        match failed.count() {
            0 => {}
            users => tracing::warn!(users, "last-seen times could not be saved"),
        }
    }

    /// Tells the peer's devices that this user types, or stopped. Invisible users type unseen.
    pub async fn typing(&self, me: &UserId, to: &UserId, is_typing: bool) -> Result<()> {
        if me == to {
            return Err(Error::code(ErrorCode::CannotMessageSelf));
        }
        let peer = self.store.user(to).await?.filter(|user| user.active);
        let peer = peer.ok_or_else(|| Error::code(ErrorCode::UserNotFound))?;
        self.tell_typing(me, &peer.id, is_typing);
        Ok(())
    }

    /// [`Self::typing`] to a peer who was checked before.
    pub fn tell_typing(&self, me: &UserId, to: &UserId, is_typing: bool) {
        let is_visible = |p: Presence| p.status != Status::Offline;
        if self.registry.presence(me).is_some_and(is_visible) {
            let event = ServerEvent::TypingStatus(TypingStatus {
                from: me.clone(),
                is_typing,
                timestamp: Timestamp::now(),
            });
            self.registry.deliver(to, None, &event);
        }
    }

    async fn tell_partners(&self, user: &UserId, event: &ServerEvent) -> Result<()> {
        for partner in self.store.partners(user).await? {
            self.registry.deliver(&partner, None, event);
        }
        Ok(())
    }

    async fn turn(&self, user: &UserId) -> MutexGuard<'_, ()> {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(user);
        let index = usize::try_from(hash % super::TURNS as u64).unwrap_or(0);
        self.turns[index].lock().await
    }
}

fn change(record: &UserRecord, status: Status) -> PresenceChange {
    PresenceChange {
        user_id: record.id.clone(),
        username: record.username.clone(),
        status,
    }
}

fn own(record: UserRecord, presence: Presence) -> OwnUser {
    OwnUser {
        email: record.email,
        created_at: record.created_at,
        user: chat_protocol::User {
            id: record.id,
            username: record.username,
            status: presence.status,
            last_seen: presence.last_seen,
            profile_picture: record.profile_picture,
            bio: record.bio,
        },
    }
}
