//! Opaque cursors: a position, sealed to the list that made it.
//!
//! The seal is no secret, for a cursor opens nothing that its caller may not read anyway; it turns every broken cursor, and
//! every cursor of another list, into `VALIDATION_ERROR` instead of a strange page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const SEAL: usize = 8;
/// No cursor of ours is longer.
const MAX_LENGTH: usize = 512;

/// What a list is called: its name and everything that selects what is in it, such as the caller and the query.
pub(super) struct List<'a>(pub(super) &'a [&'a str]);

impl List<'_> {
    /// A cursor that goes on at `position`.
    pub(super) fn cursor(&self, position: &str) -> String {
        let mut bytes = self.seal(position).to_vec();
        bytes.extend_from_slice(position.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a cursor of this list.
    pub(super) fn position(&self, cursor: &str) -> Result<String> {
        self.open(cursor)
            .ok_or_else(|| Error::invalid("cursor", "must be a nextCursor of this list"))
    }

    fn open(&self, cursor: &str) -> Option<String> {
        if cursor.len() > MAX_LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (seal, position) = bytes.split_at_checked(SEAL)?;
        let position = std::str::from_utf8(position).ok()?;
        (self.seal(position) == seal || fault!(CursorUnsealed)).then(|| position.to_owned())
    }

    fn seal(&self, position: &str) -> [u8; SEAL] {
        let mut hash = Sha256::new();
        for part in self.0.iter().chain([&position]) {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut seal = [0; SEAL];
        seal.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_its_own_list_alone() {
        let list = List(&["chats", "ann"]);
        let cursor = list.cursor("12.34");
        assert_eq!(list.position(&cursor).unwrap(), "12.34");
        for other in [
            List(&["chats", "bob"]),
            List(&["search", "ann"]),
            List(&["chat", "sann"]),
        ] {
            assert!(other.position(&cursor).is_err());
        }
    }

    #[test]
    fn any_change_breaks_it() {
        let list = List(&["chats", "ann"]);
        let cursor = list.cursor("12.34");
        for at in 0..cursor.len() {
            for other in ["A", "z", "%", "é"] {
                let changed = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
                assert!(changed == cursor || list.position(&changed).is_err(), "{changed}");
            }
        }
        assert!(list.position("").is_err() && list.position(&"A".repeat(10_000)).is_err());
    }
}
