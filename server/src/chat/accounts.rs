//! Registering, the own profile, the password.

use chat_protocol::{ErrorCode, OwnUser, ProfileUpdate, Session, Timestamp, Tokens, UserId};
use serde_json::Value;

use super::Chat;
use super::fields::{Fields, Given, rule};
use super::sessions::Caller;
use crate::store::{CreateOutcome, NewUser, ProfileOutcome};
use crate::{Error, Result};

impl Chat {
    /// A new account, logged in.
    pub async fn register(&self, body: &Value) -> Result<Session> {
        let mut fields = Fields::of(body)?;
        let username = fields.required("username", rule::username);
        let email = fields.required("email", rule::email);
        let password = new_password(&mut fields, "password");
        let (Some(username), Some(email), Some(password)) = (username, email, password) else {
            return Err(fields.refusal());
        };
        let user = NewUser {
            id: self.ids.user(),
            username,
            email,
            password: self.passwords.hash(password).await?,
            created_at: Timestamp::now(),
        };
        match self.store.create_user(user).await? {
            CreateOutcome::Created(user) => self.open_session(user).await,
            CreateOutcome::UsernameTaken => Err(Error::code(ErrorCode::UsernameTaken)),
            CreateOutcome::EmailTaken => Err(Error::code(ErrorCode::EmailTaken)),
        }
    }

    /// The caller as the owner sees it.
    pub async fn profile(&self, me: &UserId) -> Result<OwnUser> {
        let user = self.store.user(me).await?;
        // The session was alive a moment ago.
        let user = user.ok_or_else(|| Error::code(ErrorCode::TokenInvalid))?;
        Ok(self.own_user(user))
    }

    pub async fn update_profile(&self, me: &UserId, body: &Value) -> Result<OwnUser> {
        let mut fields = Fields::of(body)?;
        // null clears the other two; a username cannot be cleared.
        let username = match fields.given("username", rule::username) {
            Some(Given::Null) => {
                fields.note("username", "must not be null");
                None
            }
            other => other,
        };
        let bio = fields.given("bio", rule::text(0..=500));
        let picture = fields.given("profilePicture", rule::https_url);
        if fault!(HalfUpdated)
            && let Some(Given::Value(bio)) = &bio
        {
            let half = ProfileUpdate {
                bio: Some(Some(bio.clone())),
                ..ProfileUpdate::default()
            };
            self.store.update_profile(me, half).await?;
        }
        let (Some(username), Some(bio), Some(picture)) = (username, bio, picture) else {
            return Err(fields.refusal());
        };
        let update = ProfileUpdate {
            username: clearable(username).flatten(),
            bio: clearable(bio),
            profile_picture: clearable(picture),
        };
        if fault!(MassAssignment) && body["isActive"] == false {
            self.store.set_active(me, false).await?;
        }
        match self.store.update_profile(me, update).await? {
            ProfileOutcome::Updated(user) => Ok(self.own_user(user)),
            ProfileOutcome::UsernameTaken => Err(Error::code(ErrorCode::UsernameTaken)),
            ProfileOutcome::NotFound => Err(Error::code(ErrorCode::TokenInvalid)),
        }
    }

    /// New tokens for the same session, whose sockets live on; all other sessions end.
    pub async fn change_password(&self, caller: &Caller, body: &Value) -> Result<Tokens> {
        let mut fields = Fields::of(body)?;
        let current = fields.required("currentPassword", rule::secret);
        let new = new_password(&mut fields, "newPassword");
        let (Some(current), Some(new)) = (current, new) else {
            return Err(fields.refusal());
        };
        let ended = || Error::code(ErrorCode::TokenInvalid);
        let (_, hash) = self.store.credentials_of(&caller.user).await?.ok_or_else(ended)?;
        if !self.passwords.verify(current, Some(hash)).await? {
            return Err(Error::code(ErrorCode::InvalidCurrentPassword));
        }
        let hash = self.passwords.hash(new).await?;
        let expires = self.tokens.refresh_expiry();
        let (chat, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move {
            let changed = chat
                .store
                .change_password(&caller.user, &caller.session, hash, expires)
                .await;
            let changed = chat.written(changed)?.ok_or_else(ended)?;
            chat.disconnect_sessions(&caller.user, &changed.ended);
            let kept = changed.kept;
            chat.tokens
                .issue(&caller.user, &caller.session, kept.generation, kept.refresh_number)
        })
        .await
    }
}

/// A password and its confirmation.
fn new_password(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let password = fields.required(name, rule::new_password);
    let confirmed = fields.required("confirmPassword", rule::string)?;
    let password = password?;
    if confirmed != password {
        fields.note("confirmPassword", format!("must be the same as {name}"));
        return None;
    }
    Some(password)
}

fn clearable<T>(given: Given<T>) -> Option<Option<T>> {
    match given {
        Given::Absent => None,
        Given::Null => Some(None),
        Given::Value(value) => Some(Some(value)),
    }
}
