//! Users as others see them and as they see themselves (contract, "Shapes").

use serde::{Deserialize, Serialize};

use crate::{Timestamp, UserId};

/// What a user says of their own presence. `Offline` means invisible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Connected and reachable.
    Online,
    /// Connected, not at the device.
    Away,
    /// Connected, not to be disturbed.
    Busy,
    /// Not connected, or connected and invisible: others cannot tell which.
    Offline,
    /// One that this version does not know, read from a newer server. Never sent.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Every status, in the order of the contract.
    pub const ALL: [Status; 4] = [Status::Online, Status::Away, Status::Busy, Status::Offline];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Away => "away",
            Status::Busy => "busy",
            Status::Offline => "offline",
            Status::Unknown => "unknown",
        }
    }
}

/// What everybody may see of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// 3 to 30 of `[A-Za-z0-9_.-]`, as the user wrote it; unique ignoring case.
    pub username: String,
    /// Presence as others see it.
    pub status: Status,
    /// `None` until the first connection; frozen while invisible.
    pub last_seen: Option<Timestamp>,
    /// An https URL of at most 2048 characters.
    pub profile_picture: Option<String>,
    /// At most 500 characters.
    pub bio: Option<String>,
}

/// What only the user themselves sees: [`User`] with two further fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnUser {
    /// What everybody sees.
    #[serde(flatten)]
    pub user: User,
    /// In lower case; unique ignoring case.
    pub email: String,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// `{user}`: the answer of the profile calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnUserEnvelope {
    /// The caller.
    pub user: OwnUser,
}

/// `{user}`: the answer of `GET /api/users/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEnvelope {
    /// The user asked for.
    pub user: User,
}

/// The answer of `GET /api/users/{id}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Whose status.
    pub user_id: UserId,
    /// Presence as others see it.
    pub status: Status,
    /// See [`User::last_seen`].
    pub last_seen: Option<Timestamp>,
}

/// `PUT /api/auth/profile`. What is left out stays; `Some(None)` (JSON `null`) clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileUpdate {
    /// A new username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A new text about oneself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nullable")]
    pub bio: Option<Option<String>>,
    /// A new picture.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nullable")]
    pub profile_picture: Option<Option<String>>,
}

/// Tells "absent" from "null", which plain `Option<Option<T>>` does not.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<Option<String>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
        Option::<String>::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_differ() {
        let update: ProfileUpdate = serde_json::from_str(r#"{"bio":null}"#).unwrap();
        assert_eq!(
            update,
            ProfileUpdate {
                bio: Some(None),
                ..ProfileUpdate::default()
            }
        );
        assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"bio":null}"#);
    }
}
