//! Read marks and the unread counters, which change together: many requests in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_protocol::{ChatId, MessageId, Timestamp, UserId};
use futures_util::{FutureExt as _, TryStreamExt as _};
use mongodb::ClientSession;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::behind::{count_on, missing};
use super::changes::Changes;
use super::counters::{Counters, Gathered};
use super::others::Others;
use super::transaction::{Step, Trouble, Worked};
use super::untold::{Made, Owed, Untold};
use super::{Db, chats, row};
use crate::store::{ReadMark, ReadOutcome, ReadScope, StoreError, StoreResult};

/// Who marks what.
#[derive(Debug, Clone)]
pub(super) struct Request {
    reader: UserId,
    reader_id: ObjectId,
    scope: Scope,
}

/// [`ReadScope`], owned.
#[derive(Debug, Clone)]
enum Scope {
    /// Each once; and whether they must be in this chat.
    Messages(Vec<ObjectId>, Option<ChatId>),
    /// What is unread of it below a seq: the newest [`AT_ONCE`].
    Chat(ObjectId, i64),
}

/// Messages of a chat that one transaction marks: whoever marks something else waits for it.
pub(super) const AT_ONCE: usize = 2000;

/// What became of a request.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) outcome: ReadOutcome,
    /// There may be more unread of its chat, below this seq.
    pub(super) more_below: Option<i64>,
}

impl From<ReadOutcome> for Answer {
    fn from(outcome: ReadOutcome) -> Self {
        Self {
            outcome,
            more_below: None,
        }
    }
}

/// What a run of the transaction came to.
enum Marked {
    /// For each request; and these chats were counted along with it.
    Done(Vec<Answer>, Vec<ObjectId>),
    /// These chats have to be counted up to these seqs first.
    NotCounted(HashMap<ObjectId, i64>),
}

impl Request {
    /// Of a chat, what is below this seq. `Err` is the answer where nothing needs to be marked.
    pub(super) async fn new(
        db: &Db,
        reader: &UserId,
        scope: ReadScope<'_>,
        below: i64,
    ) -> StoreResult<std::result::Result<Self, ReadOutcome>> {
        let scope = match scope {
            ReadScope::Messages(ids) => each_once(ids).map(|ids| Scope::Messages(ids, None)),
            ReadScope::MessageIn(id, chat) => {
                each_once(std::slice::from_ref(id)).map(|ids| Scope::Messages(ids, Some(chat.clone())))
            }
            ReadScope::Chat(chat) => {
                let users = chats::participants(db, chat).await?;
                let Some(id) = row::object_id(chat).filter(|_| users.is_some_and(|users| users.contains(reader)))
                else {
                    return Ok(Err(ReadOutcome::ChatNotFound));
                };
                // All of it: what another node has not counted yet, too.
                count_on(db, id).await?;
                Some(Scope::Chat(id, below))
            }
        };
        let request = scope.zip(row::object_id(reader)).map(|(scope, reader_id)| Self {
            reader: reader.clone(),
            reader_id,
            scope,
        });
        Ok(request.ok_or(ReadOutcome::MessageNotFound))
    }

    pub(super) fn reader(&self) -> &UserId {
        &self.reader
    }

    pub(super) fn reader_id(&self) -> ObjectId {
        self.reader_id
    }

    /// Whether it asks for this mark of its reader.
    pub(super) fn asks_for(&self, made: &Made) -> bool {
        match &self.scope {
            Scope::Messages(ids, _) => ids.contains(&made.message),
            Scope::Chat(chat, _) => *chat == made.chat,
        }
    }

    /// Whoever asked did not get this answer.
    pub(super) fn was_not_told(&self, answer: &Answer, untold: &Untold) {
        self.made(answer).for_each(|made| untold.put(made));
    }

    fn made<'a>(&self, answer: &'a Answer) -> impl Iterator<Item = Made> + use<'a> {
        let marks: &[ReadMark] = match &answer.outcome {
            ReadOutcome::Done(marks) => marks,
            _ => &[],
        };
        let reader = self.reader_id;
        marks.iter().filter_map(move |mark| {
            Some(Made {
                reader,
                chat: row::object_id(&mark.chat)?,
                message: row::object_id(&mark.message)?,
                at: mark.read_at.as_millis(),
            })
        })
    }
}

/// `None` when one of them is no id of ours.
fn each_once(ids: &[MessageId]) -> Option<Vec<ObjectId>> {
    let mut wanted = Vec::with_capacity(ids.len());
    for id in ids {
        let id = row::object_id(id)?;
        if !wanted.contains(&id) {
            wanted.push(id);
        }
    }
    Some(wanted)
}

/// What became of each request, in the order given: as if they had come one after another. Marks of which a reader was not told are
/// among the answers to whoever asks for them again.
pub(super) async fn mark(
    db: &Db,
    counters: &Counters,
    untold: &Arc<Untold>,
    others: &Arc<Others>,
    requests: Arc<[Request]>,
) -> StoreResult<Vec<Answer>> {
    // What this node counts meanwhile would be in the way of the transaction, which counts what it meets.
    let mut held = counters.hold().await;
    let mut pauses = others.pauses();
    let mut doubted = false;
    loop {
        let (inner, work, gathered, tried) = (db.clone(), requests.clone(), held.gathered(), Tried::default());
        let (open, near, trying) = (untold.clone(), others.clone(), tried.clone());
        let marked = db
            .transact_between(&mut pauses, move |tx| {
                let (db, requests, gathered) = (inner.clone(), work.clone(), gathered.clone());
                let (untold, others, tried) = (open.clone(), near.clone(), trying.clone());
                async move {
                    // What was tried before was undone.
                    lock(&tried).clear();
                    let done = run(&db, tx, &requests, &gathered, &untold, &others).await;
                    if let Ok(Step::Commit(Marked::Done(answers, _))) = &done {
                        let made = requests
                            .iter()
                            .zip(answers)
                            .flat_map(|(request, answer)| request.made(answer));
                        lock(&tried).extend(made);
                    }
                    done
                }
                .boxed()
            })
            .await;
        match marked {
            Ok(Marked::Done(answers, counted)) => {
                counted.iter().for_each(|chat| held.counted(chat));
                let done = requests.iter().zip(&answers);
                let done = done.filter(|(_, answer)| matches!(answer.outcome, ReadOutcome::Done(_)));
                Owed::to(done.map(|(request, _)| request), untold).settle(untold);
                return Ok(answers);
            }
            Ok(Marked::NotCounted(newest)) => {
                newest.keys().for_each(|chat| held.doubt(*chat));
                // What is in doubt the next try counts, unless that is too much.
                if std::mem::replace(&mut doubted, true) {
                    counters.reach(newest).await?;
                }
            }
            // Whether a commit that had no answer was done, nobody knows.
            Err(error) => {
                lock(&tried).drain(..).for_each(|made| untold.put(made));
                return Err(error);
            }
        }
        if !pauses.wait().await {
            return Err(StoreError::Unavailable("messages were not counted in time".into()));
        }
    }
}

/// The marks that were to be committed.
type Tried = Arc<Mutex<Vec<Made>>>;

fn lock(tried: &Tried) -> MutexGuard<'_, Vec<Made>> {
    tried.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(
    db: &Db,
    tx: &mut ClientSession,
    requests: &[Request],
    gathered: &Gathered,
    untold: &Untold,
    others: &Others,
) -> Worked<Marked> {
    let mut owed = Owed::to(requests.iter(), untold);
    let mut named: HashSet<ObjectId> = owed.messages().collect();
    for request in requests {
        if let Scope::Messages(ids, _) = &request.scope {
            named.extend(ids);
        }
    }
    let known = read(db, tx, named.into_iter().collect()).await?;
    let read_at = db.clock.now();
    let mut answers = Vec::with_capacity(requests.len());
    let mut changes = Changes::default();
    for request in requests {
        let mut more_below = None;
        let found = match &request.scope {
            Scope::Messages(ids, chat) => judge(request, ids, chat.as_ref(), &known),
            Scope::Chat(chat, below) => {
                let (counted_to, unread) = in_chat(db, tx, *chat, *below, &request.reader).await?;
                changes.read(*chat, counted_to);
                if let Some(oldest) = unread.first().filter(|_| unread.len() >= AT_ONCE) {
                    more_below = Some(row::int(oldest, "seq")?);
                }
                Ok(unread)
            }
        };
        let outcome = match found {
            Ok(unread) => {
                let mut marks = owed.take(request, &known)?;
                marks.extend(changes.add(request, unread, read_at)?);
                marks.sort_by_key(|(order, _)| *order);
                ReadOutcome::Done(marks.into_iter().map(|(_, mark)| mark).collect())
            }
            Err(refusal) => refusal,
        };
        answers.push(Answer { outcome, more_below });
    }
    let ids = changes.messages();
    if ids.is_empty() {
        // A commit waits until what was read here is durable.
        return Ok(Step::Commit(Marked::Done(answers, Vec::new())));
    }
    let set = doc! {"$set": {"isRead": true, "readAt": row::date(read_at)}};
    db.messages
        .update_many(doc! {"_id": {"$in": ids}}, set)
        .session(&mut *tx)
        .await?;
    let missing = missing(db, tx, &changes.in_doubt(gathered, others)).await?;
    if !missing.is_empty() {
        others.meet();
    }
    let (updates, counted) = changes.of_chats(gathered, &missing);
    let wanted = i64::try_from(updates.len()).unwrap_or(i64::MAX);
    let update = doc! {"update": "chats", "updates": updates, "ordered": false};
    let done = db.database.run_command(update).session(&mut *tx).await?;
    if done.contains_key("writeErrors") {
        // No counter goes below zero.
        return Err(StoreError::Broken("a chat has counted fewer unread messages than it has".into()).into());
    }
    if row::int(&done, "n")? < wanted {
        others.meet();
        return Ok(Step::Abort(Marked::NotCounted(changes.newest())));
    }
    Ok(Step::Commit(Marked::Done(answers, counted)))
}

async fn read(db: &Db, tx: &mut ClientSession, ids: Vec<ObjectId>) -> Result<HashMap<ObjectId, Document>, Trouble> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let filter = doc! {"_id": {"$in": ids}, "seq": {"$gt": 0}};
    let mut cursor = db.messages.find(filter).session(&mut *tx).await?;
    let found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    let by_id = |message: Document| Ok((row::oid(&message, "_id")?, message));
    Ok(found.into_iter().map(by_id).collect::<StoreResult<_>>()?)
}

pub(super) fn read_mark(message: &Document, read_at: Timestamp) -> StoreResult<ReadMark> {
    Ok(ReadMark {
        message: row::id(message, "_id")?,
        chat: row::id(message, "chatId")?,
        sender: row::id(message, "sender")?,
        read_at,
    })
}

/// Looks at every message before anything changes. The unread ones, in the order of seq.
fn judge(
    request: &Request,
    ids: &[ObjectId],
    chat: Option<&ChatId>,
    known: &HashMap<ObjectId, Document>,
) -> Result<Vec<Document>, ReadOutcome> {
    let reader = request.reader_id;
    let is = |message: &Document, key: &str| message.get_object_id(key).is_ok_and(|id| id == reader);
    let in_chat = |message: &Document| {
        chat.is_none_or(|chat| {
            message
                .get_object_id("chatId")
                .is_ok_and(|id| id.to_hex() == chat.as_str())
        }) || fault!(ReceiptIgnoresChat)
    };
    let mine = |message: &&Document| {
        (is(message, "sender") || is(message, "receiver") || fault!(StrangerReads)) && in_chat(message)
    };
    let found: Vec<&Document> = ids.iter().filter_map(|id| known.get(id)).filter(mine).collect();
    if found.len() < ids.len() {
        return Err(ReadOutcome::MessageNotFound);
    }
    if found.iter().any(|message| is(message, "sender")) {
        return Err(ReadOutcome::NotReceiver);
    }
    let missing = |message: &Document, key: &str| message.get(key).is_none_or(|value| *value == Bson::Null);
    let unread =
        |message: &&Document| (missing(message, "readAt") && missing(message, "deletedAt")) || fault!(ReadAgain);
    let mut unread: Vec<Document> = found.into_iter().filter(unread).cloned().collect();
    unread.sort_by_key(|message| row::int(message, "order").unwrap_or(0));
    Ok(unread)
}

/// The unread messages of a chat up to this seq.
pub(super) fn unread_in(chat: ObjectId, until: i64, reader: ObjectId) -> Document {
    doc! {"chatId": chat, "seq": {"$gt": 0, "$lte": until}, "receiver": reader, "readAt": Bson::Null, "deletedAt": Bson::Null}
}

/// Up to which seq the chat has counted, and what of that is unread below another, the newest [`AT_ONCE`]. Walks back from there until
/// as many as the counter says are found: mostly the newest ones are unread, and then this costs what it marks, however long the chat is.
async fn in_chat(
    db: &Db,
    tx: &mut ClientSession,
    chat: ObjectId,
    below: i64,
    reader: &UserId,
) -> Result<(i64, Vec<Document>), Trouble> {
    let known = db.chats.find_one(doc! {"_id": chat}).session(&mut *tx).await?;
    let known = known.unwrap_or_default();
    let counted_to = row::int(&known, "lastSeq").unwrap_or(0);
    let unread = known.get_document("unread").ok();
    let count = unread
        .and_then(|unread| row::int(unread, reader.as_str()).ok())
        .unwrap_or(0);
    if count <= 0 {
        return Ok((counted_to, Vec::new()));
    }
    let above = match below <= counted_to {
        // The counter is of the whole chat: what is unread above does not count.
        true => {
            let mut above = unread_in(chat, counted_to, row::own_id(reader)?);
            above.insert("seq", doc! {"$gte": below, "$lte": counted_to});
            db.messages.count_documents(above).session(&mut *tx).await?
        }
        false => 0,
    };
    let count = count.saturating_sub(i64::try_from(above).unwrap_or(i64::MAX));
    let count = count.min(i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
    if count <= 0 {
        return Ok((counted_to, Vec::new()));
    }
    // What has come since the counter was read is not part of it.
    let until = counted_to.min(below.saturating_sub(1));
    let find = db.messages.find(unread_in(chat, until, row::own_id(reader)?));
    let projection = doc! {"chatId": 1, "seq": 1, "sender": 1, "order": 1};
    let find = find.sort(doc! {"seq": -1}).limit(count).projection(projection);
    let mut cursor = find.session(&mut *tx).await?;
    let mut found: Vec<Document> = cursor.stream(&mut *tx).try_collect().await?;
    found.reverse();
    Ok((counted_to, found))
}
