//! Lists of messages and chats: history, the list of chats, search.

use std::collections::HashMap;

use chat_protocol::{ChatHistory, ErrorCode, Message, Page, Timestamp, UserId};

use super::Chat;
use super::cursor::List;
use super::messages::seen_by;
use crate::store::{HistoryRange, Position, Slice};
use crate::{Error, Result};

/// Which part of a conversation.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    pub limit: usize,
    pub cursor: Option<String>,
    /// Ascending, above this seq.
    pub after: Option<u64>,
}

/// What to search for.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    pub text: String,
    /// In the conversation with this user alone.
    pub peer: Option<String>,
    pub limit: usize,
    pub cursor: Option<String>,
}

impl Chat {
    /// The conversation with `peer`, newest first, or ascending with `after`.
    pub async fn conversation(&self, me: &UserId, peer: &str, query: &HistoryQuery) -> Result<ChatHistory> {
        let peer = self.existing(peer).await?;
        let list = List(&["conversation", me.as_str(), peer.as_str()]);
        let range = match &query.cursor {
            None => query.after.map_or(HistoryRange::Newest, HistoryRange::Above),
            Some(cursor) => range(&list.position(cursor)?, query.after.is_some())?,
        };
        let Some(chat) = self.store.chat_of(me, &peer).await? else {
            return Ok(ChatHistory {
                chat_id: None,
                items: Vec::new(),
                next_cursor: None,
            });
        };
        let range = match range {
            HistoryRange::Below(seq) if fault!(OffsetPaging) => {
                HistoryRange::Below(self.newest(&chat).await? + 1 - seq)
            }
            HistoryRange::Above(seq) if fault!(AfterInclusive) => HistoryRange::Above(seq.saturating_sub(1)),
            range => range,
        };
        let (mut items, more) = self.store.history(&chat, range, query.limit).await?;
        if fault!(SeqBeforeVisible) {
            let age = |message: &Message| Timestamp::now().as_millis() - message.timestamp.as_millis();
            items.retain(|message| message.seq.is_none_or(|seq| seq % 5 > 0) || age(message) > 30);
        }
        let direction = if matches!(range, HistoryRange::Above(_)) {
            '>'
        } else {
            '<'
        };
        let mut last = items.last().filter(|_| more).and_then(|message| message.seq);
        if fault!(OffsetPaging)
            && direction == '<'
            && let Some(seq) = last
        {
            last = Some(self.newest(&chat).await? + 1 - seq);
        }
        if fault!(CursorSkips) {
            last = last.map(|seq| seq - 1);
        }
        Ok(ChatHistory {
            chat_id: Some(chat),
            next_cursor: last.map(|seq| list.cursor(&format!("{direction}{seq}"))),
            items: items.into_iter().map(|message| seen_by(me, message)).collect(),
        })
    }

    /// The seq of the newest message: what pages by offset count from.
    async fn newest(&self, chat: &chat_protocol::ChatId) -> Result<u64> {
        let (newest, _) = self.store.history(chat, HistoryRange::Newest, 1).await?;
        Ok(newest.first().and_then(|message| message.seq).unwrap_or(0))
    }

    /// My chats, newest activity first.
    pub async fn list_chats(
        &self,
        me: &UserId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<chat_protocol::Chat>> {
        let list = List(&["chats", me.as_str()]);
        let from = position(&list, cursor)?;
        let slice = self.store.chats(me, from.as_ref(), limit).await?;
        let ids: Vec<UserId> = slice
            .items
            .iter()
            .map(|chat| chat.peer.clone())
            .chain([me.clone()])
            .collect();
        let users: HashMap<UserId, chat_protocol::User> = (self.store.users(&ids).await?.into_iter())
            .map(|record| (record.id.clone(), self.public_user(record)))
            .collect();
        let page = page(&list, slice);
        Ok(page.map(|chat| chat_protocol::Chat {
            participants: [me, &chat.peer]
                .into_iter()
                .filter_map(|id| users.get(id).cloned())
                .collect(),
            id: chat.id,
            last_activity: chat.last_message.timestamp,
            last_message: seen_by(me, chat.last_message),
            is_group: false,
            group_name: None,
            unread_count: chat.unread,
        }))
    }

    /// Messages of mine that contain a text, newest first.
    pub async fn search(&self, me: &UserId, query: &SearchQuery) -> Result<Page<Message>> {
        let peer = match &query.peer {
            None => None,
            Some(peer) => Some(self.existing(peer).await?),
        };
        let within = peer.as_ref().map_or("", |peer| peer.as_str());
        let list = List(&["search", me.as_str(), within, &query.text]);
        let mut from = position(&list, query.cursor.as_deref())?;
        let skipped = if fault!(OffsetInSearch) { offset(&mut from) } else { 0 };
        let chat = match &peer {
            None => None,
            Some(peer) => match self.store.chat_of(me, peer).await? {
                Some(chat) => Some(chat),
                None => {
                    return Ok(Page {
                        items: Vec::new(),
                        next_cursor: None,
                    });
                }
            },
        };
        let limit = skipped + query.limit;
        let found = self
            .store
            .search_messages(me, &query.text, chat.as_ref(), from.as_ref(), limit);
        let mut found = found.await?;
        if fault!(OffsetInSearch) {
            found = beyond(found, skipped);
        }
        Ok(page(&list, found).map(|message| seen_by(me, message)))
    }

    /// The id of a user who exists, active or not: what was said with them stays readable.
    async fn existing(&self, id: &str) -> Result<UserId> {
        let unknown = || Error::code(ErrorCode::UserNotFound);
        let id: UserId = id.parse().map_err(|_| unknown())?;
        self.store.user(&id).await?.map(|user| user.id).ok_or_else(unknown)
    }
}

/// The store's position in a cursor.
pub(super) fn position(list: &List<'_>, cursor: Option<&str>) -> Result<Option<Position>> {
    cursor.map(|cursor| list.position(cursor).map(Position)).transpose()
}

/// Of a list that is paged by counting from its start: how many were seen, which is all that its cursors say.
pub(super) fn offset(from: &mut Option<Position>) -> usize {
    from.take().and_then(|position| position.0.parse().ok()).unwrap_or(0)
}

/// What of such a list was not seen.
pub(super) fn beyond<T>(mut slice: Slice<T>, skipped: usize) -> Slice<T> {
    let seen = slice.items.len();
    slice.items.drain(..skipped.min(seen));
    slice.next = slice.next.map(|_| Position(seen.to_string()));
    slice
}

/// A page of the store as the wire has it.
pub(super) fn page<T>(list: &List<'_>, slice: Slice<T>) -> Page<T> {
    Page {
        next_cursor: slice.next.map(|position| list.cursor(&position.0)),
        items: slice.items,
    }
}

/// A cursor goes on in its own direction; one that came with `after` must be an ascending one.
fn range(position: &str, ascending: bool) -> Result<HistoryRange> {
    let bad = || Error::invalid("cursor", "must be a nextCursor of this list");
    let seq = |text: &str| text.parse().map_err(|_| bad());
    match position.split_at_checked(1) {
        Some((">", text)) => Ok(HistoryRange::Above(seq(text)?)),
        Some(("<", text)) if !ascending => Ok(HistoryRange::Below(seq(text)?)),
        _ => Err(bad()),
    }
}
