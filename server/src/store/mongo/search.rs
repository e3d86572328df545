//! Search of messages.
//!
//! An entry of `searchIndex` is about a few messages that one chat had in one go. It has a token for each of their trigrams and each
//! of the two users, so that one look into the index finds what a user's own messages have, newest first, however much others
//! write. The index says where to look; whether a message matches, its content says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chat_protocol::{ChatId, Message, UserId};
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use super::{Db, clock, row};
use crate::store::fold::fold;
use crate::store::{Position, Slice, StoreError, StoreResult};

/// The index knows nothing shorter.
const TRIGRAM: usize = 3;
/// Entries that are looked at first: what is said often fills a page from few.
const FIRST: usize = 4;
/// Entries that are looked at in one go after that.
const BATCH: usize = 16;
/// Messages that share an entry: what they say in common is kept once, but a search has to read them all. Of a hundred characters of
/// common words, 32 have 63 tokens each, 128 have 33.
const SHARED: usize = 128;
/// Bytes of content in an entry, unless one message has more: an entry has tokens for all of them, and must be written in one go.
const SAID: usize = 16 * 1024;
/// From the oldest to the newest message of an entry, in positions: a page may begin in the middle of one.
const SPAN: i64 = clock::span(60_000);
/// More entries than this are not counted to find the rarest trigram.
const MANY: u64 = 2000;
/// So many trigrams of a long query are compared.
const SAMPLES: usize = 8;

/// Names a trigram of a user. A user's names lie together, so that an entry changes a few pages of the index and not one for each of
/// its tokens. Two may share a token: the content decides.
fn token(user: &ObjectId, trigram: &[char]) -> i64 {
    let half = |hash: u64| (hash ^ (hash >> 32)) & 0xffff_ffff;
    let (user, trigram) = (half(hash(user.bytes())), half(hash(scalars(trigram))));
    i64::from_le_bytes((user << 32 | trigram).to_le_bytes())
}

/// What [`token`] was before, which older entries have.
pub(super) fn scattered_token(user: &ObjectId, trigram: &[char]) -> i64 {
    let bytes = user.bytes().into_iter().chain(scalars(trigram));
    i64::from_le_bytes(hash(bytes).to_le_bytes())
}

fn scalars(trigram: &[char]) -> impl Iterator<Item = u8> {
    trigram.iter().flat_map(|scalar| u32::from(*scalar).to_le_bytes())
}

/// FNV-1a: stored, so it must never change, which std's hashers may.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, add)
}

/// What the index keeps of messages: entries of a few each, made when they are asked for. No two chats share one, and no two nodes:
/// a node indexes anew what it wrote itself.
pub(super) fn entries<'m>(
    messages: impl IntoIterator<Item = &'m Document>,
) -> StoreResult<impl Iterator<Item = StoreResult<Document>>> {
    let mut by_place: BTreeMap<(ObjectId, i64), Vec<(i64, &Document)>> = BTreeMap::new();
    for message in messages {
        let (chat, order) = (row::oid(message, "chatId")?, row::int(message, "order")?);
        // Told before the first entry is made, so that none is made again and again.
        for needed in ["_id", "sender", "receiver"] {
            row::oid(message, needed)?;
        }
        let place = by_place.entry((chat, order % clock::NODES)).or_default();
        place.push((order, message));
    }
    let mut shared = Vec::new();
    for ((chat, _), mut messages) in by_place {
        messages.sort_by_key(|(order, _)| -order);
        let mut rest = messages.as_slice();
        while let Some((newest, _)) = rest.first() {
            let mut said = 0;
            let fits = |(order, message): &&(i64, &Document)| {
                let more = message.get_str("content").map_or(0, str::len);
                let is_first = said == 0;
                said += more;
                newest - order < SPAN && (is_first || said <= SAID)
            };
            let (some, others) = rest.split_at(rest.iter().take(SHARED).take_while(fits).count());
            rest = others;
            let messages: Vec<&Document> = some.iter().map(|(_, message)| *message).collect();
            shared.push((chat, *newest, messages));
        }
    }
    Ok(shared.into_iter().map(|(chat, newest, messages)| {
        let mut entry = contents(messages.into_iter())?;
        entry.extend(doc! {"_id": ObjectId::new(), "chatId": chat, "order": newest});
        Ok(entry)
    }))
}

/// The messages of an entry and their tokens.
pub(super) fn contents<'m>(messages: impl Iterator<Item = &'m Document>) -> StoreResult<Document> {
    let (mut ids, mut tokens) = (Vec::new(), Vec::new());
    for message in messages {
        ids.push(row::oid(message, "_id")?);
        let content = message.get_str("content").unwrap_or_default();
        let folded: Vec<char> = fold(content).chars().collect();
        for key in ["sender", "receiver"] {
            let user = row::oid(message, key)?;
            // Finds all messages of the user: for queries that are too short to have trigrams.
            tokens.push(token(&user, &[]));
            tokens.extend(folded.windows(TRIGRAM).map(|trigram| token(&user, trigram)));
        }
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(doc! {"ids": ids, "tokens": tokens})
}

/// The messages that an entry is about.
pub(super) fn messages_of(entry: &Document) -> Vec<ObjectId> {
    match entry.get_array("ids") {
        Ok(ids) => ids.iter().filter_map(Bson::as_object_id).collect(),
        // Of the time when each message had its own.
        Err(_) => entry.get_object_id("_id").into_iter().collect(),
    }
}

/// The query for entries that may be about this message.
pub(super) fn entries_near(sender: ObjectId, chat: ObjectId, order: i64) -> Document {
    let range = doc! {"$gte": order, "$lt": order.saturating_add(SPAN)};
    let all_of = [token(&sender, &[]), scattered_token(&sender, &[])];
    doc! {"tokens": {"$in": all_of.as_slice()}, "order": range, "chatId": chat}
}

/// What is looked for, by whom.
struct Query {
    user: ObjectId,
    chat: Option<ObjectId>,
    needle: String,
    below: i64,
    wanted: usize,
}

impl Query {
    fn matches(&self, message: &RawDocument) -> bool {
        let mine = |key: &str| message.get_object_id(key).is_ok_and(|id| id == self.user);
        (mine("sender") || mine("receiver") || fault!(SearchEverywhere))
            && message.get_i64("order").is_ok_and(|order| order < self.below)
            && (self
                .chat
                .is_none_or(|chat| message.get_object_id("chatId").is_ok_and(|id| id == chat))
                || fault!(SearchEverywhere))
            && (message.get_datetime("deletedAt").is_err() || fault!(DeletedInSearch))
            && fold(message.get_str("content").unwrap_or_default()).contains(&self.needle)
    }
}

/// The query for what is not indexed of a user.
pub(super) fn fresh(user: ObjectId, chat: Option<ObjectId>, below: i64) -> Document {
    // The index knows no message without its users: all are read.
    if fault!(SearchEverywhere) {
        return doc! {"order": {"$lt": below}};
    }
    within(doc! {"fresh": user, "order": {"$lt": below}}, chat)
}

/// The query for entries that have a token, and these too.
pub(super) fn with_tokens(rarest: i64, others: &[i64], chat: Option<ObjectId>, below: i64) -> Document {
    let mut filter = within(doc! {"tokens": rarest, "order": {"$lt": below}}, chat);
    if !others.is_empty() {
        // As an expression, so that the index is asked for the rarest and nothing else.
        filter.insert("$expr", doc! {"$setIsSubset": [others, "$tokens"]});
    }
    filter
}

/// Of these, the messages that may say it. Text in ASCII matches a pattern or not at all, and only that is sent; whether other text
/// matches, its folded form says.
pub(super) fn saying(mut filter: Document, needle: &str) -> Document {
    let mut either = vec![doc! {"content": {"$regex": r"[^\x00-\x7f]"}}];
    if needle.is_ascii() {
        either.push(doc! {"content": {"$regex": literally(needle), "$options": "i"}});
    }
    filter.insert("$or", either);
    filter
}

/// A pattern that means this text, whatever it has of what patterns are made of.
fn literally(ascii: &str) -> String {
    let mut pattern = String::with_capacity(ascii.len() * 4);
    for byte in ascii.bytes() {
        if byte.is_ascii_alphanumeric() {
            pattern.push(char::from(byte));
        } else {
            let _ = write!(pattern, "\\x{byte:02x}");
        }
    }
    pattern
}

fn within(mut filter: Document, chat: Option<ObjectId>) -> Document {
    if let Some(chat) = chat {
        filter.insert("chatId", chat);
    }
    filter
}

pub(super) async fn messages(
    db: &Db,
    user: &UserId,
    query: &str,
    chat: Option<&ChatId>,
    from: Option<&Position>,
    limit: usize,
) -> StoreResult<Slice<Message>> {
    let below = match from {
        Some(position) => position.0.parse().map_err(|_| StoreError::BadPosition)?,
        None => i64::MAX,
    };
    let nothing = Slice {
        items: Vec::new(),
        next: None,
    };
    let only = match chat {
        None => None,
        Some(chat) => match row::object_id(chat) {
            Some(chat) => Some(chat),
            None => return Ok(nothing),
        },
    };
    let Some(user) = row::object_id(user) else {
        return Ok(nothing);
    };
    let query = Query {
        user,
        chat: only,
        needle: needle(query),
        below,
        wanted: limit + 1,
    };
    // What is not indexed first: whatever is indexed meanwhile is then seen twice, and never missed.
    let mut found = BTreeMap::new();
    not_indexed(db, &query, &mut found).await?;
    // Older entries first: one that changes meanwhile gets the tokens of today.
    for token in [scattered_token, token] {
        found.append(&mut in_index(db, &query, token).await?);
    }
    let more = found.len() > limit;
    let page: Vec<(i64, Message)> = found.into_iter().rev().take(limit).collect();
    let next = page
        .last()
        .filter(|_| more)
        .map(|(order, _)| Position(order.to_string()));
    let items = page.into_iter().map(|(_, message)| message).collect();
    Ok(Slice { items, next })
}

fn needle(query: &str) -> String {
    if fault!(SearchInCase) {
        return query.to_owned();
    }
    let folded = fold(query);
    if fault!(SearchOfPatterns) {
        return folded.trim_matches(['%', '_', '.', '*']).to_owned();
    }
    folded
}

type Found = BTreeMap<i64, Message>;

async fn not_indexed(db: &Db, query: &Query, found: &mut Found) -> StoreResult<()> {
    let all = fresh(query.user, query.chat, query.below);
    matching(db, query, all, doc! {"order": -1}, query.wanted, found).await
}

/// Finds what matches of these messages, in this order, so many at most.
async fn matching(
    db: &Db,
    query: &Query,
    filter: Document,
    sort: Document,
    most: usize,
    found: &mut Found,
) -> StoreResult<()> {
    // Taken apart only where they match: of what is not indexed, there may be thousands.
    let messages = db.messages.clone_with_type::<RawDocumentBuf>();
    let look = async {
        let mut cursor = messages.find(saying(filter, &query.needle)).sort(sort).await?;
        let mut matching = Vec::new();
        while matching.len() < most {
            let Some(message) = cursor.try_next().await? else { break };
            if query.matches(&message) {
                matching.push(message);
            }
        }
        Ok(matching)
    };
    for message in db.call(Box::pin(look)).await? {
        let message = Document::try_from(&*message).map_err(|error| StoreError::Broken(error.to_string()))?;
        found.insert(row::int(&message, "order")?, row::message(&message)?);
    }
    Ok(())
}

/// What matches of the entries whose tokens are these: a page of it at least, where there is as much.
async fn in_index(db: &Db, query: &Query, token: fn(&ObjectId, &[char]) -> i64) -> StoreResult<Found> {
    let mut found = Found::new();
    let scalars: Vec<char> = query.needle.chars().collect();
    let mut tokens: Vec<i64> = scalars.windows(TRIGRAM).map(|gram| token(&query.user, gram)).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let rarest = match rarest(db, &tokens).await? {
        Some((0, _)) => return Ok(found),
        Some((_, rarest)) => rarest,
        None => token(&query.user, &[]),
    };
    tokens.retain(|token| *token != rarest);
    let mut below = query.below.saturating_add(SPAN);
    let mut batch = FIRST;
    loop {
        let find = db.search.find(with_tokens(rarest, &tokens, query.chat, below));
        let find = find
            .sort(doc! {"order": -1})
            .limit(i64::try_from(batch).unwrap_or(i64::MAX));
        let look = async {
            find.projection(doc! {"order": 1, "ids": 1})
                .await?
                .try_collect::<Vec<Document>>()
                .await
        };
        let entries = db.call(Box::pin(look)).await?;
        let Some(last) = entries.last() else { return Ok(found) };
        let reached = row::int(last, "order")?;
        let ids: Vec<ObjectId> = entries.iter().flat_map(messages_of).collect();
        let these = doc! {"_id": {"$in": ids}};
        matching(db, query, these, doc! {}, usize::MAX, &mut found).await?;
        // What is older than the last entry may have others before it that were not looked at yet.
        if found.range(reached..).count() >= query.wanted || entries.len() < batch {
            return Ok(found);
        }
        batch = BATCH;
        // Two entries may have the same newest message, when one of two nodes was cut short.
        below = if reached + 1 < below { reached + 1 } else { reached };
    }
}

/// The token that the fewest entries have, as far as it is worth counting.
async fn rarest(db: &Db, tokens: &[i64]) -> StoreResult<Option<(u64, i64)>> {
    let stride = tokens.len().div_ceil(SAMPLES).max(1);
    let counts = tokens.iter().step_by(stride).map(async |token| {
        let count = db.search.count_documents(doc! {"tokens": token}).limit(MANY);
        Ok((db.call(count).await?, *token))
    });
    Ok(try_join_all(counts).await?.into_iter().min())
}
