//! `/api/auth`, but for what makes a session: that is on [`Builder`](crate::Builder).

use std::future::IntoFuture;

use chat_protocol::{OwnUser, OwnUserEnvelope, ProfileUpdate};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

use super::call::{BoxFuture, Call, Repeat, Request, json};
use crate::Result;
use crate::client::Client;

impl Client {
    /// One's own profile.
    pub fn profile(&self) -> Request<OwnUser> {
        Request::new(self, Ok(Call::get("api/auth/profile")), own_user)
    }

    /// Changes one's own profile: what is not named stays as it is.
    ///
    /// ```no_run
    /// # async fn example(chat: chat_client::Client) -> chat_client::Result<()> {
    /// let me = chat.update_profile().bio("Off to the sea.").no_profile_picture().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_profile(&self) -> UpdateProfile {
        UpdateProfile {
            client: self.clone(),
            update: ProfileUpdate::default(),
        }
    }

    /// Changes the password. This session goes on with new tokens; all others of the user end.
    ///
    /// Once begun it goes on, even when what waits for it is dropped. Never repeated by itself: when the answer is lost
    /// ([`Retryability::Ambiguous`](crate::Retryability::Ambiguous)), log in with the new password to see whether it holds.
    pub fn change_password(&self, current: impl Into<SecretString>, new: impl Into<SecretString>) -> ChangePassword {
        ChangePassword {
            client: self.clone(),
            current: current.into(),
            new: new.into(),
        }
    }
}

fn own_user(answer: &[u8]) -> Result<OwnUser> {
    json::<OwnUserEnvelope>(answer).map(|envelope| envelope.user)
}

/// A change of the profile: await it for the profile as it is then.
#[derive(Debug)]
#[must_use = "nothing is changed until this is awaited"]
pub struct UpdateProfile {
    client: Client,
    update: ProfileUpdate,
}

impl UpdateProfile {
    /// A new username: 3 to 30 of `[A-Za-z0-9_.-]`.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.update.username = Some(name.into());
        self
    }

    /// A new text about oneself, of at most 500 characters.
    pub fn bio(mut self, text: impl Into<String>) -> Self {
        self.update.bio = Some(Some(text.into()));
        self
    }

    /// Removes the text about oneself.
    pub fn no_bio(mut self) -> Self {
        self.update.bio = Some(None);
        self
    }

    /// A new picture: an https URL of at most 2048 characters.
    pub fn profile_picture(mut self, url: impl Into<String>) -> Self {
        self.update.profile_picture = Some(Some(url.into()));
        self
    }

    /// Removes the picture.
    pub fn no_profile_picture(mut self) -> Self {
        self.update.profile_picture = Some(None);
        self
    }
}

impl IntoFuture for UpdateProfile {
    type Output = Result<OwnUser>;
    type IntoFuture = BoxFuture<Result<OwnUser>>;

    fn into_future(self) -> Self::IntoFuture {
        let call = Call::new(Method::PUT, "api/auth/profile", Repeat::Freely).body(&self.update);
        Request::new(&self.client, call, own_user).into_future()
    }
}

/// A change of the password: await it.
#[derive(Debug)]
#[must_use = "nothing is changed until this is awaited"]
pub struct ChangePassword {
    client: Client,
    current: SecretString,
    new: SecretString,
}

impl IntoFuture for ChangePassword {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let body = chat_protocol::ChangePassword {
                current_password: self.current.expose_secret().to_owned(),
                new_password: self.new.expose_secret().to_owned(),
                confirm_password: self.new.expose_secret().to_owned(),
            };
            let call = Call::new(Method::PUT, "api/auth/change-password", Repeat::Never).body(&body)?;
            self.client.session().change_password(call, self.new).await
        })
    }
}
