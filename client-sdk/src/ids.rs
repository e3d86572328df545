//! Ids that the client makes.

use chat_protocol::ClientMessageId;

/// 128 bits of chance: no two are ever the same.
pub(crate) fn new_client_message_id() -> ClientMessageId {
    match format!("{:032x}", rand::random::<u128>()).parse() {
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
}
