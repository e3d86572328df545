//! What was missed, from the history.

use std::collections::HashSet;
use std::sync::Arc;

use chat_protocol::{Chat, ChatId, Message, Page, Timestamp, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::Parts;
use crate::rest::Call;
use crate::spans;
use crate::{Error, ErrorKind, Result, Retryability};

/// As many as a page may have.
const PAGE: u32 = 100;

/// After a (re)connect: finds the chats in which something was missed, and fetches it. With `all` false, only what is known to
/// be missing.
pub(super) async fn catch_up(parts: Arc<Parts>, all: bool) -> Result<()> {
    let span = spans::catch_up(all);
    let mut fetched = Fetched::default();
    let done = spans::within(&span, fetch(&parts, all, &mut fetched)).await;
    span.record("pages", fetched.pages).record("messages", fetched.messages);
    done
}

#[derive(Default)]
struct Fetched {
    pages: usize,
    messages: usize,
}

async fn fetch(parts: &Parts, all: bool, fetched: &mut Fetched) -> Result<()> {
    if all {
        look_for_news(parts).await?;
    }
    let mut failed = Failed::default();
    while let Some(gap) = parts.inbox.gap(|chat| !failed.chats.contains(chat)) {
        let (page, is_last) = match conversation(parts, &gap.peer, gap.after).await {
            Ok(page) => page,
            Err(error) if concerns_one_chat(&error) => {
                // The others do not wait for it.
                failed.chats.insert(gap.chat);
                failed.first.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        tracing::debug!(chat = %gap.chat, after = gap.after, messages = page.len(), "caught up by a page");
        fetched.pages += 1;
        fetched.messages += page.len();
        parts.inbox.history(&gap, page, is_last);
    }
    failed.first.map_or(Ok(()), Err)
}

/// Chats that could not be fetched this time, and why the first of them could not.
#[derive(Default)]
struct Failed {
    chats: HashSet<ChatId>,
    first: Option<Error>,
}

/// Whether the history of another chat may be had all the same.
fn concerns_one_chat(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Refused => error.retryability() != Retryability::Transient,
        kind => kind == ErrorKind::Protocol,
    }
}

/// Chats come with the liveliest first, so the rest has nothing new once they are older than what was surely seen.
async fn look_for_news(parts: &Parts) -> Result<()> {
    let seen: Option<Timestamp> = parts.inbox.surely_seen();
    let mut cursor = None;
    loop {
        let page = chats(parts, cursor).await?;
        for chat in &page.items {
            parts.inbox.exists(&chat.last_message);
        }
        let is_old = |chat: &Chat| seen.is_some_and(|seen| chat.last_activity < seen);
        cursor = page.next_cursor;
        if cursor.is_none() || page.items.last().is_some_and(is_old) {
            return Ok(());
        }
    }
}

/// A page of the list of chats.
pub(super) async fn chats(parts: &Parts, cursor: Option<String>) -> Result<Page<Chat>> {
    let mut call = Call::get("api/messages/chats").with("limit", PAGE);
    if let Some(cursor) = cursor {
        call = call.with("cursor", cursor);
    }
    let answer = parts.call(&call).await?;
    let page: Raw<'_> = read(&answer)?;
    Ok(Page {
        items: page.readable(),
        next_cursor: page.next_cursor,
    })
}

/// A page of the history behind a number, ascending, and whether it is the last.
pub(crate) async fn conversation(parts: &Parts, peer: &UserId, after: u64) -> Result<(Vec<Message>, bool)> {
    let call = Call::get(format!("api/messages/conversation/{peer}"));
    let answer = parts.call(&call.with("limit", PAGE).with("after", after)).await?;
    let page: Raw<'_> = read(&answer)?;
    let is_last = page.next_cursor.is_none();
    let messages = page.readable();
    let is_new = |message: &Message| message.seq.is_some_and(|seq| seq > after);
    if !is_last && !messages.iter().any(is_new) {
        // Asked again at once, it would be the same.
        return Err(Error::new(ErrorKind::Protocol, "a page that leads nowhere"));
    }
    Ok((messages, is_last))
}

/// A page whose items are read one by one, so that one that makes no sense does not hold up the others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

impl Raw<'_> {
    fn readable<T: serde::de::DeserializeOwned>(&self) -> Vec<T> {
        let items = self.items.iter().filter_map(|item| {
            let read = serde_json::from_str(item.get());
            if read.is_err() {
                tracing::warn!("an item of a page makes no sense: passed over");
            }
            read.ok()
        });
        items.collect()
    }
}

fn read(answer: &[u8]) -> Result<Raw<'_>> {
    serde_json::from_slice(answer)
        .map_err(|_| Error::new(ErrorKind::Protocol, "a page that is not what the contract says"))
}
