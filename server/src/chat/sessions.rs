//! Logging in, and what keeps one logged in.

use chat_protocol::{ErrorCode, Session, Timestamp, Tokens, UserId};
use serde_json::Value;

use super::Chat;
use super::fields::{Fields, rule};
use crate::auth::password::is_adopted;
use crate::store::{NewSession, RotateOutcome, SessionId, UserRecord};
use crate::{Error, Result};

/// Who calls, by a good access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user: UserId,
    pub session: SessionId,
    /// When the token expires.
    pub expires_at: Timestamp,
}

impl Chat {
    /// The caller behind an access token whose session lives.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        let claims = self.tokens.verify_access(token)?;
        let session = self.store.session(&claims.session).await?;
        let lives = session.is_some_and(|session| {
            (session.user_active || fault!(InactiveTokenLives))
                && session.user == claims.user
                && session.generation == claims.generation
        });
        if !lives && !fault!(RevokedTokenLives) {
            return Err(Error::code(ErrorCode::TokenInvalid));
        }
        Ok(Caller {
            user: claims.user,
            session: claims.session,
            expires_at: claims.expires_at,
        })
    }

    /// A new session. An unknown identifier costs and says the same as a wrong password.
    pub async fn login(&self, body: &Value) -> Result<Session> {
        let mut fields = Fields::of(body)?;
        let (identifier, password) = (
            fields.required("identifier", rule::secret),
            fields.required("password", rule::secret),
        );
        let (Some(identifier), Some(password)) = (identifier, password) else {
            return Err(fields.refusal());
        };
        let found = self.store.credentials(&identifier).await?;
        if fault!(UnknownUserFast) && found.is_none() {
            return Err(Error::code(ErrorCode::InvalidCredentials));
        }
        if fault!(UnknownUserTold) && found.is_none() {
            return Err(Error::code(ErrorCode::UserNotFound));
        }
        if fault!(InactiveToldFirst) && found.as_ref().is_some_and(|(user, _)| !user.active) {
            return Err(Error::code(ErrorCode::AccountInactive));
        }
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
        let adopted = hash.clone().filter(is_adopted).map(|hash| (hash, password.clone()));
        let right = self.passwords.verify(password, hash).await?;
        match user {
            Some(user) if right && user.active => {
                if let Some((old, password)) = adopted {
                    let new = self.passwords.hash(password).await?;
                    self.store.replace_password(&user.id, &old, new).await?;
                }
                self.open_session(user).await
            }
            Some(_) if right => Err(Error::code(ErrorCode::AccountInactive)),
            _ => Err(Error::code(ErrorCode::InvalidCredentials)),
        }
    }

    /// New tokens for a refresh token, which is spent by it.
    pub async fn refresh(&self, body: &Value) -> Result<Tokens> {
        let mut fields = Fields::of(body)?;
        let Some(token) = fields.required("refreshToken", rule::secret) else {
            return Err(fields.refusal());
        };
        let claims = self.tokens.verify_refresh(&token)?;
        let expires = self.tokens.refresh_expiry();
        let chat = self.clone();
        self.to_the_end(async move {
            let rotated = chat
                .store
                .rotate_session(&claims.session, claims.generation, claims.refresh_number, expires);
            match chat.written(rotated.await)? {
                RotateOutcome::Rotated(session) => chat.tokens.issue(
                    &session.user,
                    &claims.session,
                    session.generation,
                    session.refresh_number,
                ),
                RotateOutcome::Reused { user } => {
                    if !fault!(ReuseKeepsSockets) {
                        chat.disconnect_sessions(&user, &[claims.session]);
                    }
                    Err(Error::code(ErrorCode::RefreshReused))
                }
                RotateOutcome::Ended => Err(Error::code(ErrorCode::TokenInvalid)),
            }
        })
        .await
    }

    /// Ends the caller's session: its tokens and its sockets.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        let (chat, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move {
            let ended = chat.store.end_session(&caller.session).await;
            // One that had no answer may be done: its sockets end either way, as was asked for.
            if fault!(LogoutKeepsSockets) {
                return ended.map(drop).map_err(Error::from);
            }
            if fault!(LogoutEndsAll) {
                chat.registry.end_sessions(&caller.user, crate::cluster::Ended::All);
            }
            chat.disconnect_sessions(&caller.user, std::slice::from_ref(&caller.session));
            ended.map(drop).map_err(Error::from)
        })
        .await
    }

    /// Opens a session for a user whose identity is proved.
    pub(super) async fn open_session(&self, user: UserRecord) -> Result<Session> {
        let session = self.ids.hex();
        let tokens = self.tokens.issue(&user.id, &session, 0, 0)?;
        let new = NewSession {
            id: session,
            user: user.id.clone(),
            created_at: Timestamp::now(),
            expires_at: self.tokens.refresh_expiry(),
        };
        self.store.create_session(new).await?;
        Ok(Session {
            user: self.own_user(user),
            tokens,
        })
    }
}
