//! New ids: 24 hex digits as MongoDB's ObjectIds have, on every store.

use std::sync::atomic::{AtomicU32, Ordering};

use chat_protocol::{ChatId, MessageId, Timestamp, UserId};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Makes ids that are unique across processes: seconds, a random part of this process, a counter.
#[derive(Debug)]
pub struct IdSource {
    process: [u8; 5],
    counter: AtomicU32,
}

impl IdSource {
    pub fn new() -> Self {
        Self {
            process: rand::random(),
            counter: AtomicU32::new(rand::random()),
        }
    }

    /// 24 hex digits.
    pub fn hex(&self) -> String {
        let seconds = u32::try_from(Timestamp::now().as_millis() / 1000).unwrap_or(u32::MAX);
        let [s0, s1, s2, s3] = seconds.to_be_bytes();
        let [p0, p1, p2, p3, p4] = self.process;
        let [_, c0, c1, c2] = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut hex = String::with_capacity(24);
        for byte in [s0, s1, s2, s3, p0, p1, p2, p3, p4, c0, c1, c2] {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        hex
    }

    #[expect(clippy::expect_used, reason = "24 hex digits are always an id")]
    fn id<T: std::str::FromStr<Err = chat_protocol::InvalidId>>(&self) -> T {
        self.hex().parse().expect("hex is a valid id")
    }

    pub fn user(&self) -> UserId {
        self.id()
    }

    pub fn chat(&self) -> ChatId {
        self.id()
    }

    pub fn message(&self) -> MessageId {
        self.id()
    }
}

impl Default for IdSource {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_24_hex_digits_and_differ() {
        let source = IdSource::new();
        let ids: HashSet<String> = (0..10_000).map(|_| source.hex()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }
}
