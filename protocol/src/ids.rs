//! Typed ids. They are opaque: `[A-Za-z0-9_-]{1,64}` (contract, "Everywhere").

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not `[A-Za-z0-9_-]{1,64}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
    }
}

impl std::error::Error for InvalidId {}

fn is_id(text: &str) -> bool {
    let may_be = |b: u8| b.is_ascii_alphanumeric() | (b == b'_') | (b == b'-');
    // Without a way out in between, so that many bytes are looked at in one step: every message has several ids.
    (1..=64).contains(&text.len()) && text.bytes().fold(true, |all, b| all & may_be(b))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Cheap to clone. Equal ids are equal texts; nothing may be read into the characters.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_id(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Equal ids are equal texts, so a map may be asked with either.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

id!(
    /// Names a user.
    UserId
);
id!(
    /// Names a chat: the conversation of two users, from its first message on.
    ChatId
);
id!(
    /// Names a message.
    MessageId
);
id!(
    /// Chosen by the sender to make a send safe to repeat: the same id never makes a second message (promise 3).
    ClientMessageId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_alphabet() {
        assert!("a".parse::<UserId>().is_ok());
        assert!("A-z_9".repeat(12).parse::<UserId>().is_ok());
        assert!("x".repeat(64).parse::<UserId>().is_ok());
        for bad in ["", &"x".repeat(65), "a b", "é", "a/b", "a.b"] {
            assert_eq!(bad.parse::<UserId>(), Err(InvalidId), "{bad:?}");
        }
    }

    #[test]
    fn bad_ids_do_not_deserialize() {
        assert!(serde_json::from_str::<ChatId>("\"ok-1\"").is_ok());
        assert!(serde_json::from_str::<ChatId>("\"not ok\"").is_err());
    }
}
