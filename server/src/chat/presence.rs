//! Who is here, and who is told.
//!
//! Chosen statuses live as long as the user is connected; only last-seen times are stored, in a place of their own. What one
//! user does is told in the order in which it was done.

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::event::{PresenceChange, TypingStatus};
use chat_protocol::{ErrorCode, OwnUser, Status, Timestamp, UserId, UserStatus};
use futures_util::StreamExt as _;
use tokio::sync::MutexGuard;

use super::Chat;
use crate::cluster::{Change, Device, DeviceId, Notice, Notices, Presence, ServerEvent, Told};
use crate::store::{SessionId, UserRecord};
use crate::{Error, Result};

/// Between two tries to tell of a coming or going, at first and at last; and how many there are, in a quarter of an hour.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const TRIES: usize = 36;

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
        let attached = self.registry.attach(user, session, device.clone(), now, |presence| {
            greet(own(record.clone(), presence));
        });
        // The session may have ended while the device was not yet to be found.
        match self.store.session(session).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.disconnect(user, device.id());
                if attached.again {
                    // Of no session any more, and still connected.
                    device.close();
                }
                return Err(gone());
            }
            // It was one of theirs before: whether the session lives is looked up again.
            Err(error) if attached.again => {
                self.doubt_sessions();
                return Err(error.into());
            }
            Err(error) => {
                if attached.first_here {
                    self.registry.withdraw(user, device.id());
                } else {
                    self.disconnect(user, device.id());
                }
                return Err(error.into());
            }
        }
        if attached.first_here {
            let event = ServerEvent::UserOnline(change(&record, Status::Online));
            let told = self.told(user, &event).await;
            // Whether or not anybody can be told, other nodes must know; and who is here is here.
            self.registry.tell_attached(user, attached, told.as_ref().ok().cloned());
            if attached.first {
                match told {
                    Ok(_) => self.late.told(user),
                    Err(error) => self.tell_again(coming(user), &error),
                }
            }
        }
        if attached.first
            && let Err(error) = self.store.save_last_seen(user, now).await
        {
            tracing::warn!(user = user.as_str(), %error, "a last-seen time could not be saved");
        }
        Ok(())
    }

    /// Takes a device out; when it was the last, others are told after the grace period.
    pub fn disconnect(&self, user: &UserId, device: DeviceId) {
        if let Some(epoch) = self.registry.detach(user, device) {
            let (chat, user) = (self.clone(), user.clone());
            tokio::spawn(async move {
                let grace = if fault!(GraceTooLong) {
                    Duration::from_millis(7_500)
                } else {
                    chat.grace
                };
                tokio::time::sleep(grace).await;
                chat.leave(&user, epoch).await;
            });
        }
    }

    async fn leave(&self, user: &UserId, epoch: u64) {
        let _turn = self.turn(user).await;
        let Some(last_seen) = self.registry.departs(user, epoch, Timestamp::now()) else {
            return;
        };
        // Saved first: whoever hears of the departure, at whichever node, may look it up.
        let saved = match last_seen {
            Some(at) => self.store.save_last_seen(user, at).await.map_err(Error::from),
            None => Ok(()),
        };
        let told = self.departure(user).await;
        let is_news = self
            .registry
            .leave(user, epoch, last_seen, told.as_ref().ok().cloned().flatten());
        match saved {
            Ok(()) => self.registry.forget(user, epoch),
            // The registry keeps what the store did not take, so that nobody sees an older time.
            Err(error) => {
                let user = user.as_str();
                tracing::warn!(user, cause = error.cause(), "a last-seen time could not be saved");
            }
        }
        if is_news {
            match told {
                Ok(_) => self.late.told(user),
                Err(error) => self.tell_again(going(user), &error),
            }
        }
    }

    /// Sets the chosen status. Nothing happens when it is the same.
    pub async fn update_status(&self, user: &UserId, status: Status) -> Result<()> {
        let _turn = self.turn(user).await;
        let Some(shown) = self.registry.presence(user).filter(|shown| shown.status != status) else {
            return Ok(());
        };
        let now = match shown.last_seen {
            Some(before) if fault!(StatusKeepsLastSeen) => before,
            _ => Timestamp::now(),
        };
        // All that can fail comes before: whoever is refused and asks again must not find it done and untold.
        let partners = self.store.partners(user).await?;
        let hidden = shown.status == Status::Offline;
        if !hidden {
            self.store.save_last_seen(user, now).await?;
        }
        if !self.registry.set_status(user, status, now) {
            return Ok(());
        }
        // While they are invisible their last-seen time stands still, also when they are refused.
        if hidden && let Err(error) = self.store.save_last_seen(user, now).await {
            tracing::warn!(user = user.as_str(), %error, "a last-seen time could not be saved");
        }
        let event = ServerEvent::UserStatusChanged(UserStatus {
            user_id: user.clone(),
            status,
            last_seen: Some(now),
        });
        let known = partners.iter().filter(|_| !fault!(StatusUntold));
        let all: Vec<_> = [user].into_iter().chain(known).map(|user| (user, None)).collect();
        self.registry.deliver_to(&all, &event);
        Ok(())
    }

    /// Everybody who is seen as online leaves now: the process ends, and with it every grace period.
    pub async fn save_departures(&self, now: Timestamp) {
        let users = self.registry.only_here();
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

    /// Sees to what this node finds out about others, until there is nobody who would say more.
    pub async fn follow(&self, mut notices: Notices) {
        while let Some(notice) = notices.recv().await {
            match notice {
                Notice::Changed(changes) => {
                    let told = futures_util::stream::iter(changes);
                    told.for_each_concurrent(super::LOOKS_AT_ONCE, |change| self.tell_late(change))
                        .await;
                }
                Notice::Missed => {
                    self.doubt_sessions();
                    if let Err(error) = self.end_doubted_sessions().await {
                        tracing::warn!(cause = error.cause(), "ended sessions are looked for later");
                    }
                }
            }
        }
    }

    async fn tell_late(&self, change: Change) {
        if let Err(error) = self.try_to_tell(&change).await {
            self.tell_again(change, &error);
        }
    }

    /// Tells of a coming or going that could not be told, once it can be: unless there is news of that user before.
    fn tell_again(&self, change: Change, because: &Error) {
        let cause = because.cause();
        tracing::warn!(user = change.user.as_str(), cause, "a change of presence is told later");
        let (chat, number) = (self.clone(), self.late.add(&change.user));
        tokio::spawn(async move {
            let mut pause = PAUSE;
            for _ in 0..TRIES {
                // Not all at once: an outage ends for all of them.
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                let _turn = chat.turn(&change.user).await;
                if !chat.late.is(&change.user, number) {
                    return;
                }
                if chat.try_to_tell(&change).await.is_ok() {
                    return chat.late.told(&change.user);
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            tracing::warn!(user = change.user.as_str(), "a change of presence could not be told");
            if chat.late.is(&change.user, number) {
                chat.late.told(&change.user);
            }
        });
    }

    async fn try_to_tell(&self, change: &Change) -> Result<()> {
        if let Some(at) = change.last_seen {
            self.store.save_last_seen(&change.user, at).await?;
        }
        let told = match change.online {
            false => self.departure(&change.user).await?,
            true => match self.store.user(&change.user).await? {
                Some(record) => {
                    let event = ServerEvent::UserOnline(self::change(&record, Status::Online));
                    Some(self.told(&change.user, &event).await?)
                }
                None => None,
            },
        };
        if let Some(told) = told {
            self.registry.tell_late(change, &told);
        }
        Ok(())
    }

    /// Whether this peer sees that this user types. Invisible users type unseen.
    pub async fn types_seen(&self, me: &UserId, to: &UserId) -> Result<bool> {
        if me == to {
            return Err(Error::code(ErrorCode::CannotMessageSelf));
        }
        let peer = self.store.user(to).await?.filter(|user| user.active);
        peer.ok_or_else(|| Error::code(ErrorCode::UserNotFound))?;
        let is_visible = |p: Presence| p.status != Status::Offline;
        Ok(self.registry.presence(me).is_some_and(is_visible))
    }

    /// Tells the peer's devices that this user types, or stopped. Whoever was seen to type is seen to stop, invisible meanwhile or not.
    pub fn tell_typing(&self, me: &UserId, to: &UserId, is_typing: bool) {
        let event = ServerEvent::TypingStatus(TypingStatus {
            from: me.clone(),
            is_typing,
            timestamp: Timestamp::now(),
        });
        self.registry.deliver(to, None, &event);
        if fault!(TypingLeaks) {
            self.registry
                .connected()
                .iter()
                .for_each(|user| self.registry.deliver(user, None, &event));
        }
    }

    /// What the partners of a user are told when the user leaves for good.
    async fn departure(&self, user: &UserId) -> Result<Option<Told>> {
        let Some(record) = self.store.user(user).await? else {
            return Ok(None);
        };
        let event = ServerEvent::UserOffline(change(&record, Status::Offline));
        self.told(user, &event).await.map(Some)
    }

    async fn told(&self, user: &UserId, event: &ServerEvent) -> Result<Told> {
        let partners = self.store.partners(user).await?;
        Ok(Told::new(partners, event.encode().map_err(Error::internal)?))
    }

    async fn turn(&self, user: &UserId) -> MutexGuard<'_, ()> {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(user);
        let index = usize::try_from(hash % super::TURNS as u64).unwrap_or(0);
        self.turns[index].lock().await
    }
}

fn coming(user: &UserId) -> Change {
    Change {
        user: user.clone(),
        online: true,
        last_seen: None,
    }
}

fn going(user: &UserId) -> Change {
    Change {
        online: false,
        ..coming(user)
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
