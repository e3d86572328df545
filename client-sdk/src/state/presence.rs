//! Who is there.

use std::collections::HashMap;

use chat_protocol::{Status, User, UserId};
use futures_util::TryStreamExt as _;

use crate::{Client, Event, Result};

/// The status of this user's chat partners.
#[derive(Debug, Clone, Default)]
pub struct Presence(HashMap<UserId, User>);

impl Presence {
    /// The chat partners as they are now.
    ///
    /// # Errors
    ///
    /// As [`Client::chats`].
    pub async fn load(client: &Client) -> Result<Self> {
        let mut presence = Self::default();
        presence.reload(client).await?;
        Ok(presence)
    }

    /// Asks for all of them anew.
    ///
    /// # Errors
    ///
    /// As [`Client::chats`]; it is then as it was.
    pub async fn reload(&mut self, client: &Client) -> Result<()> {
        let chats: Vec<_> = client.chats().limit(100).into_stream().try_collect().await?;
        let users = chats.into_iter().flat_map(|chat| chat.participants);
        let partners = users.filter(|user| user.id != *client.user_id());
        self.0 = partners.map(|user| (user.id.clone(), user)).collect();
        Ok(())
    }

    /// Takes in what happened. `true`: something is different now.
    pub fn apply(&mut self, event: &Event) -> bool {
        let (id, status) = match event {
            Event::Online(change) | Event::Offline(change) => {
                let user = self.0.entry(change.user_id.clone()).or_insert_with(|| User {
                    id: change.user_id.clone(),
                    username: change.username.clone(),
                    status: Status::Offline,
                    last_seen: None,
                    profile_picture: None,
                    bio: None,
                });
                user.username.clone_from(&change.username);
                (&change.user_id, change.status)
            }
            Event::StatusChanged(change) => {
                if let Some(user) = self.0.get_mut(&change.user_id) {
                    user.last_seen = change.last_seen.or(user.last_seen);
                }
                (&change.user_id, change.status)
            }
            _ => return false,
        };
        let Some(user) = self.0.get_mut(id) else {
            return false;
        };
        std::mem::replace(&mut user.status, status) != status
    }

    /// A user's status; offline when nothing is known of them.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Status {
        self.0.get(user).map_or(Status::Offline, |user| user.status)
    }

    /// A chat partner, as far as known.
    #[must_use]
    pub fn user(&self, id: &UserId) -> Option<&User> {
        self.0.get(id)
    }

    /// Everybody known, in no particular order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.0.values()
    }
}
