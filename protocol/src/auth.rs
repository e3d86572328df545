//! Bodies of the `/api/auth` calls. Types that carry a password or a token do not print it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::OwnUser;

/// `POST /api/auth/register`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// 3 to 30 of `[A-Za-z0-9_.-]`.
    pub username: String,
    /// Unique ignoring case.
    pub email: String,
    /// 8 to 128 characters.
    pub password: String,
    /// The same again.
    pub confirm_password: String,
}

/// `POST /api/auth/login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Username or email.
    pub identifier: String,
    /// The password.
    pub password: String,
}

/// `POST /api/auth/refresh-token`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// The newest refresh token of the session: it works once.
    pub refresh_token: String,
}

/// `PUT /api/auth/change-password`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: String,
    /// 8 to 128 characters.
    pub new_password: String,
    /// The same again.
    pub confirm_password: String,
}

/// What opens the API to a user. Opaque to clients, and never part of a URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// For `Authorization: Bearer` and the socket handshake.
    pub access_token: String,
    /// For `POST /api/auth/refresh-token`, once.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds that the access token lives.
    pub expires_in: u64,
}

/// `{user, tokens}`: the answer to register and login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The caller.
    pub user: OwnUser,
    /// The tokens of the new session.
    pub tokens: Tokens,
}

/// `{tokens}`: the answer to refresh and change-password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The new tokens of the same session.
    pub tokens: Tokens,
}

macro_rules! redacted {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}

redacted!(Register, Login, Refresh, ChangePassword, Tokens);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let login = Login {
            identifier: "ann".into(),
            password: "hunter2hunter2".into(),
        };
        assert_eq!(format!("{login:?}"), "Login { .. }");
    }
}
