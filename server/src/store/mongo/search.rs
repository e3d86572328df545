//! Search of messages.
//!
//! An entry of `searchRuns` is about a run of messages of one chat, by their seqs, and has a token for each of their trigrams. Tokens
//! name a stretch of the chat, too, so that one look into the index finds what a user's own chats have, newest first, however much
//! others write.
//! The index says where to look; whether a message matches, its content says. What is not indexed is looked through itself: of each
//! chat, it is what follows the seq up to which the chat says that it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use chat_protocol::{ChatId, Message, UserId};
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};

use super::behind::above;
use super::{Db, chats, clock, row, uncounted};
use crate::store::fold::fold;
use crate::store::{Position, Slice, StoreError, StoreResult};

/// The index knows nothing shorter.
const TRIGRAM: usize = 3;
/// Entries that are looked at first: what is said often fills a page from few.
const FIRST: usize = 4;
/// Entries that are looked at in one go after that.
const BATCH: usize = 16;
/// Messages that share an entry: what they say in common is kept once, but a search has to read them all. The index is asked by it
/// for what was written before, so it may grow and not shrink.
pub(super) const SHARED: usize = 256;
/// Bytes of content in an entry, unless one message has more: an entry has tokens for all of them, and must be written in one go.
const SAID: usize = 32 * 1024;
/// From the oldest to the newest message of an entry, in positions: a page may begin in the middle of one.
const SPAN: i64 = clock::span(600_000);
/// Messages of a chat whose tokens lie together, by their seqs. An entry changes each page of the index that has them, so what it
/// costs does not grow with its chat; but a search has to look for each stretch by itself.
pub(super) const STRETCH: i64 = 16_384;
/// More entries than this are not counted to find the rarest trigram.
const MANY: u64 = 2000;
/// So many trigrams of a long query are compared.
const SAMPLES: usize = 8;
/// Chats that are looked through at the same time for what is not indexed.
const AT_ONCE: usize = 16;
/// Stretches whose entries are asked for together: MongoDB walks as many places of an index side by side and sorts nothing.
pub(super) const TOGETHER: usize = 100;

/// Names a trigram of a stretch. Its names lie together, so that an entry changes a few pages of the index and not one for each of
/// its tokens. Two may share a token: the content decides.
fn token(stretch: u64, trigram: &[char]) -> i64 {
    let scalars = trigram.iter().flat_map(|scalar| u32::from(*scalar).to_le_bytes());
    i64::from_le_bytes((stretch << 32 | half(hash(scalars))).to_le_bytes())
}

/// What the tokens of a stretch of a chat begin with.
fn beginning(chat: &ObjectId, stretch: i64) -> u64 {
    half(hash(chat.bytes().into_iter().chain(stretch.to_le_bytes())))
}

/// Which of its chat's stretches a message is in.
fn stretch(seq: i64) -> i64 {
    seq / STRETCH
}

fn half(hash: u64) -> u64 {
    (hash ^ (hash >> 32)) & 0xffff_ffff
}

/// FNV-1a: stored, so it must never change, which std's hashers may.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, add)
}

fn trigrams_of(folded: &str) -> Vec<[char; TRIGRAM]> {
    let scalars: Vec<char> = folded.chars().collect();
    let trigrams = scalars.windows(TRIGRAM);
    trigrams.filter_map(|trigram| trigram.try_into().ok()).collect()
}

/// What of a message its entry needs.
pub(super) fn indexed_fields() -> Document {
    doc! {"_id": 0, "chatId": 1, "seq": 1, "order": 1, "content": 1, "deletedAt": 1}
}

/// How many of these, of one chat and the oldest first, share one entry.
pub(super) fn fitting(messages: &[Document]) -> StoreResult<usize> {
    let Some(oldest) = messages.first() else { return Ok(0) };
    let (oldest, first) = (row::int(oldest, "order")?, stretch(row::int(oldest, "seq")?));
    let mut said = 0;
    let fits = |message: &&Document| {
        let is_first = said == 0;
        said += message.get_str("content").map_or(0, str::len);
        row::int(message, "order").is_ok_and(|order| order - oldest < SPAN)
            && row::int(message, "seq").is_ok_and(|seq| stretch(seq) == first)
            && (is_first || said <= SAID)
    };
    Ok(messages.iter().take(SHARED).take_while(fits).count().max(1))
}

/// The entry of messages that follow one another in one chat; `None` when none of them is there any more.
pub(super) fn entry(messages: &[Document]) -> StoreResult<Option<Document>> {
    let (Some(oldest), Some(newest)) = (messages.first(), messages.last()) else {
        return Ok(None);
    };
    let (chat, from) = (row::oid(newest, "chatId")?, row::int(oldest, "seq")?);
    let Some(tokens) = tokens(&chat, from, messages) else {
        return Ok(None);
    };
    Ok(Some(doc! {
        "_id": ObjectId::new(), "chatId": chat, "from": from, "to": row::int(newest, "seq")?,
        "oldest": row::int(oldest, "order")?, "order": row::int(newest, "order")?, "tokens": tokens,
    }))
}

/// The tokens of those messages of a chat, from this seq on, that were not deleted; `None` when all were.
pub(super) fn tokens(chat: &ObjectId, from: i64, messages: &[Document]) -> Option<Vec<i64>> {
    let living = messages
        .iter()
        .filter(|message| message.get_datetime("deletedAt").is_err());
    let contents: Vec<&str> = living
        .map(|message| message.get_str("content").unwrap_or_default())
        .collect();
    if contents.is_empty() {
        return None;
    }
    let stretch = beginning(chat, stretch(from));
    // The first finds all entries of the stretch: for queries that are too short to have trigrams.
    let mut tokens = vec![token(stretch, &[])];
    for said in contents {
        let scalars: Vec<char> = fold(said).chars().collect();
        tokens.extend(scalars.windows(TRIGRAM).map(|trigram| token(stretch, trigram)));
    }
    tokens.sort_unstable();
    tokens.dedup();
    Some(tokens)
}

/// The query for the entries about a message.
pub(super) fn about(chat: ObjectId, seq: i64) -> Document {
    let shared = i64::try_from(SHARED).unwrap_or(i64::MAX);
    doc! {"chatId": chat, "to": {"$gte": seq, "$lt": seq.saturating_add(shared)}, "from": {"$lte": seq}}
}

/// The query for the messages that an entry is about.
pub(super) fn messages_of(entry: &Document) -> StoreResult<Document> {
    let seqs = doc! {"$gte": row::int(entry, "from")?, "$lte": row::int(entry, "to")?};
    Ok(doc! {"chatId": row::oid(entry, "chatId")?, "seq": seqs})
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

/// The query for what has changed since it was indexed, of a user.
pub(super) fn changed(user: ObjectId, chat: Option<ObjectId>, below: i64) -> Document {
    // The index knows no message without its chat: all are read.
    if fault!(SearchEverywhere) {
        return doc! {"order": {"$lt": below}};
    }
    let mut filter = doc! {"fresh": user, "order": {"$lt": below}};
    if let Some(chat) = chat {
        filter.insert("chatId", chat);
    }
    filter
}

/// The query for entries that have one of these tokens, by the position of their newest message.
pub(super) fn with_tokens(tokens: &[i64], newest: Range<i64>) -> Document {
    doc! {"tokens": {"$in": tokens}, "order": {"$gte": newest.start, "$lt": newest.end}}
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
    let places = places(db, &query).await?;
    // What is not indexed first: whatever is indexed meanwhile is then seen twice, and never missed.
    let mut found = not_indexed(db, &query, &places).await?;
    for some in stretches(&places).chunks(TOGETHER) {
        // What is older than a page that is full already is not asked for.
        let above = found.keys().rev().nth(limit).copied().unwrap_or(i64::MIN);
        if some.iter().any(|stretch| stretch.newest > above) {
            found.append(&mut in_index(db, &query, some, above).await?);
        }
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

/// A chat that is looked into.
struct Place {
    chat: ObjectId,
    /// The seq up to which it is indexed.
    indexed: i64,
    /// Whether there is more of it.
    waits: bool,
    /// The position of the newest message that it has counted.
    newest: i64,
}

/// The user's chats, those that were written to last before the others.
async fn places(db: &Db, query: &Query) -> StoreResult<Vec<Place>> {
    // What nobody has counted first: when it is counted meanwhile, its chat says that it waits.
    let uncounted = uncounted::find(db, uncounted::of(query.user)).await?.chats;
    let mut mine = chats::with(query.user);
    if let Some(chat) = query.chat {
        mine.insert("_id", chat);
    }
    let find = db.chats.find(mine).sort(chats::by_id());
    let find = find.projection(doc! {"indexed": 1, "order": 1, "waiting": 1});
    let place = |chat: &Document| {
        let id = row::oid(chat, "_id")?;
        Ok(Place {
            chat: id,
            indexed: row::int(chat, "indexed").unwrap_or(0),
            waits: chat.contains_key("waiting") || uncounted.contains_key(&id),
            newest: row::int(chat, "order").unwrap_or(0),
        })
    };
    let mut places: Vec<Place> = db.all(find).await?.iter().map(place).collect::<StoreResult<_>>()?;
    places.sort_by_key(|place| std::cmp::Reverse(place.newest));
    Ok(places)
}

/// A stretch of a chat that is looked into.
struct Stretch {
    /// What its tokens begin with.
    beginning: u64,
    /// No message of it has a position above this.
    newest: i64,
}

/// The stretches of these that are indexed: the last of each, then those before.
fn stretches(places: &[Place]) -> Vec<Stretch> {
    let of = |place: &Place| {
        let (chat, newest) = (place.chat, place.newest);
        (0..=stretch(place.indexed))
            .rev()
            .enumerate()
            .map(move |(back, number)| {
                let beginning = beginning(&chat, number);
                (back, Stretch { beginning, newest })
            })
    };
    let mut found: Vec<(usize, Stretch)> = places.iter().flat_map(of).collect();
    found.sort_by_key(|(back, _)| *back);
    found.into_iter().map(|(_, stretch)| stretch).collect()
}

type Found = BTreeMap<i64, Message>;

async fn not_indexed(db: &Db, query: &Query, places: &[Place]) -> StoreResult<Found> {
    let changed = changed(query.user, query.chat, query.below);
    let mut found = matching(db, query, changed, doc! {"order": -1}, query.wanted).await?;
    let waiting: Vec<&Place> = places.iter().filter(|place| place.waits).collect();
    for some in waiting.chunks(AT_ONCE) {
        let looks = some.iter().map(|place| {
            let after = above(place.chat, place.indexed);
            matching(db, query, after, doc! {"seq": -1}, query.wanted)
        });
        for mut those in try_join_all(looks).await? {
            found.append(&mut those);
        }
    }
    Ok(found)
}

/// Finds what matches of these messages, in this order, so many at most.
async fn matching(db: &Db, query: &Query, filter: Document, sort: Document, most: usize) -> StoreResult<Found> {
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
    let mut found = Found::new();
    for message in db.call(Box::pin(look)).await? {
        let message = Document::try_from(&*message).map_err(|error| StoreError::Broken(error.to_string()))?;
        found.insert(row::int(&message, "order")?, row::message(&message)?);
    }
    Ok(found)
}

/// What matches of what is indexed of these stretches above a position: a page of it at least, where there is as much.
async fn in_index(db: &Db, query: &Query, stretches: &[Stretch], above: i64) -> StoreResult<Found> {
    let mut found = Found::new();
    // A page may begin in the middle of an entry.
    let mut newest = above..query.below.saturating_add(SPAN);
    let Some(tokens) = rarest(db, query, stretches, newest.clone()).await? else {
        return Ok(found);
    };
    let mut batch = FIRST;
    loop {
        let mut entries = with_tokens(&tokens, newest.clone());
        entries.insert("oldest", doc! {"$lt": query.below});
        let find = db.search.find(entries);
        let find = find
            .sort(doc! {"order": -1})
            .limit(i64::try_from(batch).unwrap_or(i64::MAX));
        let find = find.projection(doc! {"order": 1, "chatId": 1, "from": 1, "to": 1});
        let entries = db.all(find).await?;
        let Some(last) = entries.last() else { return Ok(found) };
        let reached = row::int(last, "order")?;
        let looks = entries.iter().map(async |entry| {
            let these = messages_of(entry)?;
            matching(db, query, these, doc! {"seq": -1}, query.wanted).await
        });
        for mut those in try_join_all(looks).await? {
            found.append(&mut those);
        }
        // What is older than the last entry may have others before it that were not looked at yet.
        if found.range(reached..).count() >= query.wanted || entries.len() < batch {
            return Ok(found);
        }
        batch = BATCH;
        // Two entries may have the same newest message, when one of two nodes was cut short.
        newest.end = if reached + 1 < newest.end { reached + 1 } else { reached };
    }
}

/// The tokens, one of each stretch, of the trigram that the fewest of these entries have, as far as it is worth counting; `None` when
/// no entry has it.
async fn rarest(db: &Db, query: &Query, stretches: &[Stretch], newest: Range<i64>) -> StoreResult<Option<Vec<i64>>> {
    let of = |trigram: &[char]| -> Vec<i64> {
        let tokens = stretches.iter().map(|stretch| token(stretch.beginning, trigram));
        tokens.collect()
    };
    let mut trigrams = trigrams_of(&query.needle);
    trigrams.sort_unstable();
    trigrams.dedup();
    let stride = trigrams.len().div_ceil(SAMPLES).max(1);
    let counts = trigrams.iter().step_by(stride).map(async |trigram| {
        let tokens = of(trigram);
        let count = db
            .search
            .count_documents(with_tokens(&tokens, newest.clone()))
            .limit(MANY);
        Ok((db.call(count).await?, tokens))
    });
    let counted: Vec<(u64, Vec<i64>)> = try_join_all(counts).await?;
    Ok(match counted.into_iter().min() {
        Some((0, _)) => None,
        Some((_, tokens)) => Some(tokens),
        None => Some(of(&[])),
    })
}
