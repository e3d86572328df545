//! Stores a group of messages: gives each its chat and seq, inserts them in order, and settles what became of each.
//!
//! Nothing is locked. What the next seq of a chat is, we remember or read; the unique index of (chat, seq) refuses it when another
//! node was faster, and then we read again. Inserts are ordered, so whatever follows a refused message has not been stored, and
//! no seq is ever skipped. Chats that other nodes write to as well are inserted apart, at the same time, so that what is refused there
//! does not keep others from being stored. An insert without an answer may have been done: its messages are looked for by their ids,
//! and only those that are not there are inserted again, under the same ids.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chat_protocol::{Message, UserId};
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::cstr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, RawDocumentBuf, doc, rawdoc};
use mongodb::error::{Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout};

use super::call::{call, failure, index_of, is_duplicate};
use super::counters::Counters;
use super::memory::{Memory, Tip};
use super::writer::Job;
use super::{Db, chats, clock, row, uncounted};
use crate::store::{NewMessage, SendOutcome, StoreError, StoreResult};

/// How long one insert may take before we look for what became of it.
const INSERT: Duration = Duration::from_millis(2000);
/// How long one look may take.
const LOOK: Duration = Duration::from_millis(1500);
/// So many inserts at the same time are for chats that other nodes write to as well; further ones share them.
const APART: usize = 16;
/// Between two attempts while the database does not answer.
const PAUSE: Duration = Duration::from_millis(50);

/// A message that has its place.
struct Planned {
    job: usize,
    pair: String,
    order: i64,
    coming: uncounted::Coming,
    message: Message,
    document: RawDocumentBuf,
}

/// How a job stands.
enum State {
    Waiting,
    /// To be refused so, unless its `clientMessageId` is known.
    Doubtful(SendOutcome),
    Answered(StoreResult<SendOutcome>),
}

/// By sender and `clientMessageId`: the message, and what it was made of.
type Known = HashMap<(UserId, String), (Document, Vec<u8>)>;

/// One group on its way. Another may be under way beside it, with other senders and other chats.
pub(super) struct Group {
    db: Db,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    /// Users of this group who were found to be active.
    active: HashSet<UserId>,
    deadline: Instant,
}

impl Group {
    pub(super) fn new(db: Db, counters: Arc<Counters>, memory: Arc<Memory>) -> Self {
        Self {
            db,
            counters,
            memory,
            active: HashSet::new(),
            deadline: Instant::now(),
        }
    }

    /// What became of each message, in the order given. Ends before the deadline of the first.
    pub(super) async fn store(mut self, jobs: &[Job]) -> Vec<StoreResult<SendOutcome>> {
        let mut states: Vec<State> = jobs.iter().map(|_| State::Waiting).collect();
        self.deadline = jobs.iter().map(|job| job.deadline).min().unwrap_or_else(Instant::now);
        let mut reason = StoreError::Unavailable("the message waited too long for its turn".into());
        let mut attempted = HashSet::new();
        // The first pass leaves repeats to the index that refuses them: most messages are none.
        let mut look_for_repeats = fault!(IdempotencyOfAnybody);
        while states.iter().any(|state| !matches!(state, State::Answered(_))) {
            if Instant::now() >= self.deadline {
                self.give_up(jobs, &mut states, &attempted, &reason);
                break;
            }
            match self.pass(jobs, &mut states, look_for_repeats, &mut attempted).await {
                Ok(()) => {}
                Err(error) => {
                    reason = error;
                    sleep(PAUSE).await;
                }
            }
            look_for_repeats = true;
        }
        let answer = |state| match state {
            State::Answered(outcome) => outcome,
            State::Waiting | State::Doubtful(_) => Err(reason.clone()),
        };
        states.into_iter().map(answer).collect()
    }

    /// So long, but not beyond the deadline.
    fn at_most(&self, limit: Duration) -> Duration {
        limit.min(self.deadline.saturating_duration_since(Instant::now()))
    }

    /// Refuses what has no answer. What was sent to the database may still be stored by it, when it hung.
    fn give_up(&self, jobs: &[Job], states: &mut [State], attempted: &HashSet<usize>, reason: &StoreError) {
        let mut refused = 0;
        for (index, state) in states.iter_mut().enumerate() {
            if matches!(state, State::Answered(_)) {
                continue;
            }
            refused += 1;
            if attempted.contains(&index)
                && let Some(id) = row::object_id(&jobs[index].message.id)
            {
                self.memory.unsettled.put(id);
            }
            *state = State::Answered(Err(StoreError::Unavailable(reason.to_string())));
        }
        tracing::error!(error = %reason, messages = refused, "messages could not be stored");
    }

    async fn pass(
        &mut self,
        jobs: &[Job],
        states: &mut [State],
        look_for_repeats: bool,
        attempted: &mut HashSet<usize>,
    ) -> StoreResult<()> {
        let open: Vec<usize> = (0..jobs.len())
            .filter(|index| !matches!(states[*index], State::Answered(_)))
            .collect();
        let known = if look_for_repeats {
            self.find_known(jobs, &open).await?
        } else {
            Known::new()
        };
        self.find_users(jobs, &open).await?;
        let apart = self.apart(jobs, &open);
        self.find_chats(jobs, &open).await?;
        let mut parts: BTreeMap<usize, Vec<Planned>> = BTreeMap::new();
        for plan in self.plan(jobs, states, &open, &known, look_for_repeats) {
            attempted.insert(plan.job);
            let part = apart.get(&plan.pair).copied().unwrap_or(0);
            parts.entry(part).or_default().push(plan);
        }
        for part in parts.values_mut() {
            let mark = uncounted::mark(part.iter().map(|plan| plan.coming));
            if let Some(first) = part.first_mut() {
                first.document.append(cstr!("uncounted"), mark);
            }
        }
        if fault!(AckBeforeCommit) {
            let messages = self.db.messages.clone_with_type::<RawDocumentBuf>();
            let late: Vec<RawDocumentBuf> = parts.values().flatten().map(|plan| plan.document.clone()).collect();
            tokio::spawn(async move {
                sleep(Duration::from_millis(150)).await;
                let _ = messages.insert_many(late).ordered(false).await;
            });
            parts.into_values().for_each(|part| self.stored(part, states));
            return Ok(());
        }
        let limit = self.at_most(INSERT);
        let messages = self.db.messages.clone_with_type::<RawDocumentBuf>();
        let inserts = parts.values().map(|part| {
            let insert = messages.insert_many(part.iter().map(|plan| &plan.document));
            timeout(limit, insert.ordered(true).into_future())
        });
        let inserted = join_all(inserts).await;
        let (mut result, mut late) = (Ok(()), Vec::new());
        for (part, inserted) in parts.into_values().zip(inserted) {
            match inserted {
                Ok(Ok(_)) => self.stored(part, states),
                Ok(Err(error)) => {
                    let settled = self.after_refusal(part, states, error, look_for_repeats).await;
                    result = result.and(settled);
                }
                Err(_) => late.extend(part),
            }
        }
        if late.is_empty() {
            return result;
        }
        // One look for all of them.
        let error = StoreError::Unavailable("MongoDB did not answer in time".into());
        self.settle(late, states, error).await.and(result)
    }

    /// The chats that go apart, since other nodes write to them as well, and which part each is. What we remember of such chats is old.
    /// Who writes to several chats here has all of it in one insert, and so in order.
    fn apart(&self, jobs: &[Job], open: &[usize]) -> HashMap<String, usize> {
        let of_job = |index: &usize| Some((&jobs[*index].message.sender, jobs[*index].pair.as_ref()?));
        let (mut chat_of, mut of_many) = (HashMap::new(), HashSet::new());
        for (sender, pair) in open.iter().filter_map(of_job) {
            if *chat_of.entry(sender).or_insert(pair) != pair {
                of_many.insert(sender);
            }
        }
        let mixed = open
            .iter()
            .filter_map(of_job)
            .filter(|(sender, _)| of_many.contains(sender));
        let mixed: HashSet<&String> = mixed.map(|(_, pair)| pair).collect();
        let (mut apart, now) = (HashMap::new(), Instant::now());
        let mut memory = self.memory.lock();
        for (_, pair) in open.iter().filter_map(of_job) {
            if !apart.contains_key(pair) && memory.is_shared(pair, now) {
                memory.doubt(pair);
                if !mixed.contains(pair) {
                    apart.insert(pair.clone(), 1 + apart.len() % APART);
                }
            }
        }
        apart
    }

    /// Gives every open job that can be stored its place, and the others their answer.
    fn plan(&self, jobs: &[Job], states: &mut [State], open: &[usize], known: &Known, looked: bool) -> Vec<Planned> {
        let mut planned = Vec::with_capacity(open.len());
        let mut in_group = HashSet::new();
        let mut next: HashMap<String, i64> = HashMap::new();
        for &index in open {
            let job = &jobs[index];
            let new = &job.message;
            let mut reused = false;
            if let Some(client_id) = &new.client_message_id {
                let named = (new.sender.clone(), client_id.to_string());
                if let Some((first, hash)) = known.get(&named) {
                    if *hash == new.fingerprint() || fault!(ReuseAccepted) {
                        states[index] = State::Answered(self.repeated(new, first));
                        continue;
                    }
                    reused = true;
                } else if !in_group.insert(named) {
                    continue; // Its first is in this group: looked for in the next pass.
                }
            }
            if let State::Doubtful(refusal) = &states[index] {
                states[index] = State::Answered(Ok(refusal.clone()));
                continue;
            }
            let refusal = match self.refusal(job) {
                None if reused => Some(SendOutcome::ClientMessageIdReused),
                other => other,
            };
            if let Some(refusal) = refusal {
                states[index] = if looked || new.client_message_id.is_none() {
                    State::Answered(Ok(refusal))
                } else {
                    State::Doubtful(refusal)
                };
                continue;
            }
            match self.place(index, job, &mut next) {
                Ok(plan) => planned.push(plan),
                // A repeat may have no place.
                Err(_) if !looked && new.client_message_id.is_some() => {}
                Err(error) => states[index] = State::Answered(Err(error)),
            }
        }
        planned
    }

    fn refusal(&self, job: &Job) -> Option<SendOutcome> {
        let new = &job.message;
        if !self.active.contains(&new.sender) || !self.active.contains(&new.receiver) {
            return Some(SendOutcome::UserNotFound);
        }
        let chat = job.pair.as_ref().and_then(|pair| self.memory.tip(pair));
        let differs = new.chat.is_some() && new.chat.as_ref() != chat.as_ref().map(|tip| &tip.id);
        differs.then_some(SendOutcome::ChatMismatch)
    }

    fn place(&self, index: usize, job: &Job, next: &mut HashMap<String, i64>) -> StoreResult<Planned> {
        let new = &job.message;
        let missing = || StoreError::Unavailable("the chat could not be made".into());
        let pair = job.pair.clone().ok_or_else(missing)?;
        let tip = self.memory.tip(&pair).ok_or_else(missing)?;
        let seq = next.entry(pair.clone()).or_insert(tip.seq.ok_or_else(missing)?);
        *seq += if fault!(SeqGap) && *seq == 2 { 2 } else { 1 };
        let order = self.db.clock.next();
        let timestamp = clock::timestamp(order);
        let (sender, receiver) = (row::own_id(&new.sender)?, row::own_id(&new.receiver)?);
        // Written as it goes over the wire: of all documents, this one is made most.
        let mut document = rawdoc! {
            "_id": row::own_id(&new.id)?, "chatId": tip.oid, "seq": *seq, "order": order, "sender": sender,
            "receiver": receiver, "content": new.content.as_str(), "messageType": new.message_type.as_str(), "isRead": false,
            "timestamp": row::date(timestamp),
        };
        if let Some(client_id) = &new.client_message_id {
            document.append(cstr!("clientMessageId"), client_id.as_str());
            let (subtype, bytes) = (BinarySubtype::Generic, new.fingerprint());
            document.append(cstr!("sentHash"), Binary { subtype, bytes });
        }
        let message = Message {
            id: new.id.clone(),
            chat_id: tip.id,
            seq: u64::try_from(*seq).ok(),
            sender: new.sender.clone(),
            receiver: new.receiver.clone(),
            content: new.content.clone(),
            message_type: new.message_type,
            is_read: false,
            read_at: None,
            timestamp,
            edited_at: None,
            deleted_at: None,
            client_message_id: new.client_message_id.clone(),
        };
        Ok(Planned {
            job: index,
            pair,
            order,
            coming: ([sender, receiver], tip.oid, *seq),
            message,
            document,
        })
    }

    /// The answer to a message whose `clientMessageId` was stored before with the same content.
    fn repeated(&self, new: &NewMessage, first: &Document) -> StoreResult<SendOutcome> {
        let id = row::oid(first, "_id")?;
        let message = Message {
            // As it was sent: later fates are not part of the answer.
            content: new.content.clone(),
            is_read: false,
            read_at: None,
            edited_at: None,
            deleted_at: None,
            ..row::message(first)?
        };
        // One that was refused, but stored in the end, has been told to nobody yet.
        if self.memory.unsettled.take(&id) || row::object_id(&new.id) == Some(id) {
            return Ok(SendOutcome::Stored(message));
        }
        Ok(SendOutcome::Repeated(message))
    }

    /// All of these are durable.
    fn stored(&self, planned: Vec<Planned>, states: &mut [State]) {
        let first = planned.first().and_then(|plan| row::object_id(&plan.message.id));
        let mut messages = Vec::with_capacity(planned.len());
        let mut memory = self.memory.lock();
        for plan in planned {
            if let Some(tip) = memory.tips.get_mut(&plan.pair) {
                tip.seq = plan.message.seq.and_then(|seq| i64::try_from(seq).ok());
                tip.last = tip.seq;
            }
            states[plan.job] = State::Answered(Ok(SendOutcome::Stored(plan.message.clone())));
            messages.push((plan.message, plan.order));
        }
        drop(memory);
        // What is not there yet must not be counted; later it is found by its mark.
        if !fault!(AckBeforeCommit) {
            self.counters.add(first, messages.iter());
        }
    }

    /// What the server refused, and what it did before.
    async fn after_refusal(
        &self,
        mut planned: Vec<Planned>,
        states: &mut [State],
        error: Error,
        looked: bool,
    ) -> StoreResult<()> {
        let (index, code, name) = match &*error.kind {
            // Without a word about the majority, what comes before the refused one is durable.
            ErrorKind::InsertMany(many) if many.write_concern_error.is_none() => {
                match many.write_errors.as_ref().and_then(|errors| errors.first()) {
                    Some(refused) => (refused.index, refused.code, index_of(&refused.message).to_owned()),
                    None => return self.settle(planned, states, failure(error)).await,
                }
            }
            _ => return self.settle(planned, states, failure(error)).await,
        };
        if index >= planned.len() {
            return self.settle(planned, states, failure(error)).await;
        }
        let rest = planned.split_off(index);
        self.stored(planned, states);
        if !is_duplicate(code) {
            states[rest[0].job] = State::Answered(Err(failure(error)));
        } else if name == "_id_" {
            // An earlier attempt came through in the end.
            return self.settle(rest, states, failure(error)).await;
        } else if name != "sender_client_message" {
            // Another node was faster in this chat, and perhaps in others: one look tells of all, and each of them would be another try.
            let mut memory = self.memory.lock();
            memory.share(&rest[0].pair);
            rest.iter().for_each(|plan| memory.doubt(&plan.pair));
        } else if looked {
            // Its first is being stored elsewhere, and not durable yet.
            return Err(failure(error));
        }
        Ok(())
    }

    /// Finds out which of these are stored. The others stay open.
    async fn settle(&self, planned: Vec<Planned>, states: &mut [State], error: StoreError) -> StoreResult<()> {
        // Whatever we knew of these chats may be wrong now.
        for plan in &planned {
            self.memory.lock().tips.pop(&plan.pair);
        }
        let ids: Vec<ObjectId> = planned
            .iter()
            .filter_map(|plan| row::object_id(&plan.message.id))
            .collect();
        let look = async {
            let found = self.db.messages.find(doc! {"_id": {"$in": ids}}).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let found = call(self.at_most(LOOK), Box::pin(look)).await?;
        if found.is_empty() {
            return Err(error);
        }
        let mut messages = Vec::new();
        for document in found {
            let message = row::message(&document)?;
            let Some(plan) = planned.iter().find(|plan| plan.message.id == message.id) else {
                continue;
            };
            states[plan.job] = State::Answered(Ok(SendOutcome::Stored(message.clone())));
            messages.push((message, row::int(&document, "order")?));
        }
        messages.sort_by_key(|(_, order)| *order);
        // More may come to be stored: the marks stay until somebody has looked.
        self.counters.add(None, messages.iter());
        Ok(())
    }

    /// Messages that were stored before under the `clientMessageId`s of these; durably, for they are acknowledged as stored.
    async fn find_known(&self, jobs: &[Job], open: &[usize]) -> StoreResult<Known> {
        let mut by_sender: HashMap<&UserId, Vec<&str>> = HashMap::new();
        for &index in open {
            let new = &jobs[index].message;
            if let Some(client_id) = &new.client_message_id {
                by_sender.entry(&new.sender).or_default().push(client_id.as_str());
            }
        }
        let mut known = Known::new();
        let names: Vec<Document> = by_sender
            .into_iter()
            .filter_map(|(sender, ids)| Some(repeats(row::object_id(sender)?, &ids)))
            .collect();
        if names.is_empty() {
            return Ok(known);
        }
        let look = async {
            let found = self.db.messages.find(doc! {"$or": names}).await?;
            found.try_collect::<Vec<Document>>().await
        };
        for found in call(self.at_most(LOOK), Box::pin(look)).await? {
            let hash = found.get_binary_generic("sentHash").cloned().unwrap_or_default();
            let client_id = found.get_str("clientMessageId").unwrap_or_default().to_owned();
            if fault!(IdempotencyOfAnybody) {
                let senders = open.iter().map(|index| jobs[*index].message.sender.clone());
                known.extend(senders.map(|sender| ((sender, client_id.clone()), (found.clone(), hash.clone()))));
            }
            known.insert((row::id(&found, "sender")?, client_id), (found, hash));
        }
        Ok(known)
    }

    /// Finds out which of the users are active.
    async fn find_users(&mut self, jobs: &[Job], open: &[usize]) -> StoreResult<()> {
        let mut unsure: HashMap<ObjectId, &UserId> = HashMap::new();
        {
            let mut memory = self.memory.lock();
            memory.forget_users_since(self.db.users_changed.load(Ordering::Acquire));
            let now = Instant::now();
            for &index in open {
                for user in [&jobs[index].message.sender, &jobs[index].message.receiver] {
                    if memory.is_active(user, now) {
                        self.active.insert(user.clone());
                    } else if let Some(id) = row::object_id(user) {
                        self.active.remove(user);
                        unsure.insert(id, user);
                    }
                }
            }
        }
        if unsure.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let ids: Vec<ObjectId> = unsure.keys().copied().collect();
        let mut wanted = doc! {"_id": {"$in": ids}, "isActive": true};
        if fault!(MessageToInactive) {
            wanted.remove("isActive");
        }
        let look = async {
            let find = self.db.users.find(wanted);
            let found = find.projection(doc! {"_id": 1}).await?;
            found.try_collect::<Vec<Document>>().await
        };
        for found in call(self.at_most(LOOK), Box::pin(look)).await? {
            if let Some(user) = unsure.get(&row::oid(&found, "_id")?) {
                self.active.insert((*user).clone());
                self.memory.lock().trust(user, asked);
            }
        }
        Ok(())
    }

    /// Remembers the chats of these messages with their newest seqs, and makes those that are missing.
    async fn find_chats(&self, jobs: &[Job], open: &[usize]) -> StoreResult<()> {
        self.find_missing(jobs, open).await?;
        let mut doubtful = HashMap::new();
        {
            let mut memory = self.memory.lock();
            for pair in open.iter().filter_map(|index| jobs[*index].pair.as_ref()) {
                if let Some(tip) = memory.tips.get(pair)
                    && tip.seq.is_none()
                {
                    doubtful.insert(tip.oid, pair.as_str());
                }
            }
        }
        match doubtful.is_empty() {
            true => Ok(()),
            false => self.read_seqs(&doubtful).await,
        }
    }

    async fn find_missing(&self, jobs: &[Job], open: &[usize]) -> StoreResult<()> {
        let mut missing: HashMap<String, &NewMessage> = HashMap::new();
        for &index in open {
            let new = &jobs[index].message;
            let users_known = self.active.contains(&new.sender) && self.active.contains(&new.receiver);
            if let Some(pair) = &jobs[index].pair
                && users_known
                && !self.memory.lock().tips.contains(pair)
                // One that names a chat makes none.
                && (!missing.contains_key(pair) || new.chat.is_none())
            {
                missing.insert(pair.clone(), new);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.read_chats(missing.keys().cloned().collect()).await?;
        let mut made = Vec::new();
        for (pair, new) in &missing {
            if !self.memory.lock().tips.contains(pair) && new.chat.is_none() {
                let (sender, receiver) = (row::own_id(&new.sender)?, row::own_id(&new.receiver)?);
                made.push(chats::new_chat(row::own_id(&new.new_chat)?, sender, receiver));
            }
        }
        if made.is_empty() {
            return Ok(());
        }
        match call(self.at_most(LOOK), self.db.chats.insert_many(&made).ordered(false)).await {
            Ok(_) => {}
            // Another node made one of them; a look tells.
            Err(StoreError::Broken(_)) => {}
            Err(error) => return Err(error),
        }
        let made = made
            .iter()
            .filter_map(|chat| chat.get_str("pair").ok().map(ToOwned::to_owned));
        self.read_chats(made.collect()).await
    }

    async fn read_chats(&self, pairs: Vec<String>) -> StoreResult<()> {
        let look = async {
            let find = self.db.chats.find(doc! {"pair": {"$in": pairs}});
            let found = find.projection(doc! {"pair": 1}).await?;
            found.try_collect::<Vec<Document>>().await
        };
        for chat in call(self.at_most(LOOK), Box::pin(look)).await? {
            let pair = chat.get_str("pair").unwrap_or_default().to_owned();
            let (id, oid) = (row::id(&chat, "_id")?, row::oid(&chat, "_id")?);
            self.memory.lock().tips.put(
                pair,
                Tip {
                    id,
                    oid,
                    seq: None,
                    last: None,
                },
            );
        }
        Ok(())
    }

    /// Reads only what is durable, as the look for chats does: behind a message or in a chat that a primary lost again, another one would
    /// store what follows. Whoever refuses a seq because it is taken says so only when it is durable, so the next look sees it.
    async fn read_seqs(&self, chats: &HashMap<ObjectId, &str>) -> StoreResult<()> {
        let look = async {
            let ids: Vec<ObjectId> = chats.keys().copied().collect();
            let found = self.db.messages.aggregate(newest(&ids)).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let mut seqs = HashMap::new();
        for newest in call(self.at_most(LOOK), Box::pin(look)).await? {
            // What we store next must come later, whatever our clock says.
            self.db.clock.observe(row::int(&newest, "order")?);
            seqs.insert(row::oid(&newest, "_id")?, row::int(&newest, "seq")?);
        }
        let mut memory = self.memory.lock();
        for (chat, pair) in chats {
            memory.found(pair, seqs.get(chat).copied().unwrap_or(0));
        }
        Ok(())
    }
}

/// The pipeline that finds the newest messages of chats: MongoDB takes one step in its index for each of them.
pub(super) fn newest(chats: &[ObjectId]) -> [Document; 3] {
    [
        doc! {"$match": {"chatId": {"$in": chats}, "seq": {"$gt": 0}}},
        doc! {"$sort": {"chatId": -1, "seq": -1}},
        doc! {"$group": {"_id": "$chatId", "seq": {"$first": "$seq"}, "order": {"$first": "$order"}}},
    ]
}

/// The query for messages of a sender under these `clientMessageId`s.
pub(super) fn repeats(sender: ObjectId, ids: &[&str]) -> Document {
    if fault!(IdempotencyOfAnybody) {
        return doc! {"clientMessageId": {"$in": ids}};
    }
    doc! {"sender": sender, "clientMessageId": {"$in": ids}}
}
