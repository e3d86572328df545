//! Where every chat is when a client begins: what comes later is new.

use chat_protocol::{Chat, Page, Timestamp};

use super::Inbox;
use super::catch_up::chats;
use crate::Result;
use crate::client::Parts;

/// Notes where every chat is now.
pub(crate) async fn baseline(parts: &Parts) -> Result<()> {
    note(&parts.inbox, async |cursor| chats(parts, cursor).await).await
}

/// A chat that comes alive between two pages moves to the front, past what is still to be read. So of several pages the first ones are
/// read again, until all that is on them was noted before.
async fn note(inbox: &Inbox, mut page: impl AsyncFnMut(Option<String>) -> Result<Page<Chat>>) -> Result<()> {
    let first = page(None).await?;
    let newest = |page: &Page<Chat>| page.items.first().map(|chat| chat.last_activity);
    let began = newest(&first);
    let mut top = began;
    let is_all = first.next_cursor.is_none();
    let (mut read, mut until) = (first, None);
    loop {
        let mut found = false;
        loop {
            for chat in &read.items {
                found |= inbox.begin(&chat.last_message);
            }
            let is_old = |chat: &Chat| until.is_some_and(|until: Timestamp| chat.last_activity < until);
            let Some(cursor) = read.next_cursor.filter(|_| !read.items.last().is_some_and(is_old)) else {
                break;
            };
            read = page(Some(cursor)).await?;
        }
        if !found || is_all {
            break;
        }
        until = top;
        read = page(None).await?;
        top = newest(&read);
    }
    inbox.begun(began);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use chat_protocol::{ChatId, Message, MessageType};

    use super::*;

    fn id<T: std::str::FromStr<Err = chat_protocol::InvalidId>>(text: &str) -> T {
        text.parse().unwrap()
    }

    /// One with Bob whose newest message has this number and came then.
    fn chat(name: &str, seq: u64, minute: i64) -> Chat {
        let at = Timestamp::from_millis(1_700_000_000_000 + minute * 60_000);
        Chat {
            id: id(name),
            participants: Vec::new(),
            last_message: Message {
                id: id(&format!("{name}{seq}")),
                chat_id: id(name),
                seq: Some(seq),
                sender: id("bob"),
                receiver: id("ann"),
                content: String::new(),
                message_type: MessageType::Text,
                is_read: false,
                read_at: None,
                timestamp: at,
                edited_at: None,
                deleted_at: None,
                client_message_id: None,
            },
            last_activity: at,
            is_group: false,
            group_name: None,
            unread_count: 0,
        }
    }

    /// A list of two chats a page, and what comes alive before which page is read.
    struct Server {
        chats: RefCell<Vec<Chat>>,
        comes: RefCell<Vec<(usize, Chat)>>,
        read: RefCell<usize>,
    }

    impl Server {
        fn new(chats: Vec<Chat>, comes: Vec<(usize, Chat)>) -> Self {
            Self {
                chats: RefCell::new(chats),
                comes: RefCell::new(comes),
                read: RefCell::new(0),
            }
        }

        fn page(&self, cursor: Option<String>) -> Page<Chat> {
            let mut chats = self.chats.borrow_mut();
            *self.read.borrow_mut() += 1;
            let read = *self.read.borrow();
            self.comes.borrow_mut().retain(|(before, chat)| {
                if *before == read {
                    chats.retain(|other| other.id != chat.id);
                    chats.push(chat.clone());
                }
                *before != read
            });
            chats.sort_by_key(|chat| std::cmp::Reverse(chat.last_activity));
            let below: Option<i64> = cursor.map(|cursor| cursor.parse().unwrap());
            let rest = chats
                .iter()
                .filter(|chat| below.is_none_or(|below| chat.last_activity.as_millis() < below));
            let rest: Vec<&Chat> = rest.collect();
            let items: Vec<Chat> = rest.iter().take(2).map(|chat| (*chat).clone()).collect();
            let last = items.last().map(|chat| chat.last_activity.as_millis().to_string());
            Page {
                next_cursor: last.filter(|_| rest.len() > 2),
                items,
            }
        }
    }

    async fn noted(server: &Server) -> (Vec<(ChatId, u64)>, Option<Timestamp>) {
        let inbox = Inbox::new(id("ann"), None);
        note(&inbox, async |cursor| Ok(server.page(cursor))).await.unwrap();
        let (reader, position) = inbox.subscribe(1, false, true);
        (position.chats.into_iter().collect(), inbox.seen_by(reader))
    }

    #[tokio::test]
    async fn one_page_is_read_once() {
        let server = Server::new(vec![chat("a", 4, 2), chat("b", 2, 1)], Vec::new());
        let (chats, seen) = noted(&server).await;
        assert_eq!(chats, [(id("a"), 4), (id("b"), 2)]);
        assert_eq!(seen, Some(chat("a", 4, 2).last_activity));
        assert_eq!(*server.read.borrow(), 1);
    }

    #[tokio::test]
    async fn a_chat_that_moves_to_the_front_between_two_pages_is_noted() {
        let names = ["a", "b", "c", "d", "e"];
        let chats = names.into_iter().zip(1..).map(|(name, minute)| chat(name, 7, -minute));
        // The last one wakes up after the first page, and the one before it while that is looked for.
        let comes = vec![(2, chat("e", 8, 10)), (4, chat("d", 8, 20)), (4, chat("a", 8, 21))];
        let server = Server::new(chats.collect(), comes);
        let (chats, seen) = noted(&server).await;
        let expected = [("a", 7), ("b", 7), ("c", 7), ("d", 7), ("e", 8)];
        assert_eq!(chats, expected.map(|(name, seq)| (id(name), seq)));
        // Nothing that came since the first page may count as seen.
        assert_eq!(seen, Some(chat("a", 7, -1).last_activity));
    }

    #[tokio::test]
    async fn it_goes_on_until_nothing_has_moved() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let chats = names.into_iter().zip(1..).map(|(name, minute)| chat(name, 1, -minute));
        let comes = vec![
            (2, chat("f", 2, 10)),
            (2, chat("e", 2, 11)),
            (4, chat("d", 2, 20)),
            (5, chat("c", 2, 30)),
        ];
        let server = Server::new(chats.collect(), comes);
        let (chats, _) = noted(&server).await;
        let named: Vec<ChatId> = chats.into_iter().map(|(chat, _)| chat).collect();
        assert_eq!(named, names.map(id));
    }
}
