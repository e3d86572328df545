//! Ids that the client makes.

use chat_protocol::{ClientMessageId, Timestamp};

/// Milliseconds since 1970 in 48 bits, then 80 bits of chance: no two are ever the same, and those of one time lie together in a
/// server's index, however many it has.
pub(crate) fn new_client_message_id() -> ClientMessageId {
    let millis = Timestamp::now().as_millis();
    match format!("{millis:012x}{:020x}", rand::random::<u128>() >> 48).parse() {
        Ok(id) => id,
        Err(_) => unreachable!("32 hexadecimal digits are an id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_differ_and_have_one_length() {
        let (one, two) = (new_client_message_id(), new_client_message_id());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 32);
    }

    #[test]
    fn they_begin_with_the_time() {
        let before = Timestamp::now().as_millis();
        let id = new_client_message_id();
        let said = i64::from_str_radix(&id.as_str()[..12], 16).unwrap();
        assert!((before..=Timestamp::now().as_millis()).contains(&said), "{said}");
    }
}
