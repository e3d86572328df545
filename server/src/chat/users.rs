//! Users as others see them.

use chat_protocol::{ErrorCode, OwnUser, Page, Status, User, UserId, UserStatus};

use super::Chat;
use super::cursor::List;
use super::lists::{beyond, offset, page, position};
use crate::store::UserRecord;
use crate::{Error, Result};

impl Chat {
    /// Visible users, by id: the caller included unless invisible.
    pub async fn online_users(&self, me: &UserId, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let list = List(&["online", me.as_str()]);
        let after = match position(&list, cursor)? {
            None => None,
            Some(at) => Some(at.0.parse().map_err(|_| crate::store::StoreError::BadPosition)?),
        };
        let mut ids = self.registry.visible(after.as_ref(), limit + 1);
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next_cursor = ids.last().filter(|_| more).map(|id| list.cursor(id.as_str()));
        let users = self.store.users(&ids).await?.into_iter();
        // Who left between the two looks is left out.
        let items = users
            .filter(|user| user.active)
            .map(|user| self.public_user(user))
            .filter(|user| user.status != Status::Offline || fault!(InvisibleListed, GoneListed))
            .collect();
        Ok(Page { items, next_cursor })
    }

    /// Users by a part of their username, in alphabetical order.
    pub async fn search_users(&self, text: &str, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let list = List(&["users", text]);
        let mut from = position(&list, cursor)?;
        let skipped = if fault!(OffsetInSearch) { offset(&mut from) } else { 0 };
        let by_email = match fault!(FoundByEmail) && text.contains('@') {
            true => self.store.credentials(text).await?.map(|(user, _)| user.username),
            false => None,
        };
        let text = by_email.as_deref().unwrap_or(text);
        let mut slice = self.store.search_users(text, from.as_ref(), skipped + limit).await?;
        if fault!(UsersUnordered) {
            slice.items.reverse();
        }
        if fault!(OffsetInSearch) {
            slice = beyond(slice, skipped);
        }
        Ok(page(&list, slice).map(|user| {
            let mut user = self.public_user(user);
            if fault!(InvisibleInLists) && self.registry.presence(&user.id).is_some() {
                user.status = Status::Online;
            }
            user
        }))
    }

    pub async fn user(&self, id: &str) -> Result<User> {
        let unknown = || Error::code(ErrorCode::UserNotFound);
        let id: UserId = id.parse().map_err(|_| unknown())?;
        let record = self.store.user(&id).await?.filter(|user| user.active);
        record.map(|user| self.public_user(user)).ok_or_else(unknown)
    }

    pub async fn user_status(&self, id: &str) -> Result<UserStatus> {
        let user = self.user(id).await?;
        Ok(UserStatus {
            user_id: user.id,
            status: user.status,
            last_seen: user.last_seen,
        })
    }

    /// With the status that others see now.
    pub fn public_user(&self, record: UserRecord) -> User {
        let presence = self.registry.presence(&record.id);
        User {
            id: record.id,
            username: record.username,
            status: presence.map_or(Status::Offline, |p| p.status),
            last_seen: presence.map_or(record.last_seen, |p| p.last_seen),
            profile_picture: match fault!(EmailInPicture) {
                true => Some(format!("https://pictures.example.org/{}", record.email)),
                false => record.profile_picture,
            },
            bio: record.bio,
        }
    }

    /// What only its owner sees.
    pub fn own_user(&self, record: UserRecord) -> OwnUser {
        OwnUser {
            email: record.email.clone(),
            created_at: record.created_at,
            user: self.public_user(record),
        }
    }
}
