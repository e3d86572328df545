//! What must be true of every record.

use std::collections::{HashMap, HashSet};

use super::{Alteration, Breach, Change, Heard, Kept, Kind, List, Outcome, Record, Sent, View};

/// Every breach that the record shows.
pub(crate) fn judge(record: &Record) -> Vec<Breach> {
    let mut judge = Judge::new(record);
    for view in &record.views {
        judge.view(view);
    }
    judge.agreement();
    judge.kept_as_sent();
    judge.senders_order();
    for heard in &record.heard {
        judge.heard(heard);
    }
    for list in &record.lists {
        judge.list(list);
    }
    judge.breaches
}

struct Judge<'a> {
    record: &'a Record,
    by_content: HashMap<&'a str, usize>,
    by_id: HashMap<&'a str, usize>,
    /// By id: what is kept, as the first view has it.
    kept: HashMap<&'a str, &'a Kept>,
    /// By content of the message as it was sent: its ids.
    ids: HashMap<&'a str, HashSet<&'a str>>,
    changes: HashMap<&'a str, Vec<&'a Change>>,
    breaches: Vec<Breach>,
}

impl<'a> Judge<'a> {
    fn new(record: &'a Record) -> Self {
        let sent = || record.sent.iter().enumerate();
        let mut judge = Self {
            record,
            by_content: sent().map(|(at, sent)| (sent.content.as_str(), at)).collect(),
            by_id: sent()
                .filter_map(|(at, sent)| Some((sent.receipt()?.id.as_str(), at)))
                .collect(),
            kept: HashMap::new(),
            ids: HashMap::new(),
            changes: HashMap::new(),
            breaches: Vec::new(),
        };
        for change in &record.changes {
            judge.changes.entry(&change.id).or_default().push(change);
        }
        for kept in record.views.iter().flat_map(|view| &view.messages) {
            judge.kept.entry(&kept.receipt.id).or_insert(kept);
        }
        judge
    }

    fn breach(&mut self, kind: Kind, what: String) {
        self.breaches.push(Breach { kind, what });
    }

    /// What was sent to become this. An edit begins with what it replaces; a tombstone is known by its id.
    fn origin(&self, kept: &Kept) -> Option<&'a Sent> {
        let first = kept.content.split(' ').next().unwrap_or_default();
        let by_content = self.by_content.get(first);
        let at = by_content.or_else(|| self.by_id.get(kept.receipt.id.as_str()))?;
        Some(&self.record.sent[*at])
    }

    /// Without holes, nobody else's, and each message something that was sent.
    fn view(&mut self, view: &'a View) {
        let place = format!("{} with {} at node {}", view.reader, view.peer, view.node);
        for (number, kept) in view.messages.iter().enumerate() {
            let expected = view.after + 1 + number as u64;
            if kept.receipt.seq != expected {
                self.breach(Kind::Hole, format!("{place}: {kept:?} instead of seq {expected}"));
                break;
            }
        }
        for kept in &view.messages {
            let ends = [(&view.reader, &view.peer), (&view.peer, &view.reader)];
            if !ends.contains(&(&kept.sender, &kept.receiver)) {
                self.breach(Kind::Leaked, format!("{place}: {kept:?}"));
            }
            match self.origin(kept) {
                None => self.breach(Kind::Invented, format!("{place}: {kept:?}")),
                Some(sent) => {
                    if (&sent.from, &sent.to) != (&kept.sender, &kept.receiver) {
                        self.breach(Kind::Altered, format!("{place}: {kept:?}"));
                    }
                    self.ids.entry(&sent.content).or_default().insert(&kept.receipt.id);
                }
            }
        }
    }

    /// Everybody sees the same conversation, at every node.
    fn agreement(&mut self) {
        let mut first: HashMap<(&str, &str), &View> = HashMap::new();
        for view in &self.record.views {
            let (one, other) = (view.reader.as_str(), view.peer.as_str());
            let pair = if one < other { (one, other) } else { (other, one) };
            let known = *first.entry(pair).or_insert(view);
            if known.messages == view.messages {
                continue;
            }
            let (a, b) = (&known.messages, &view.messages);
            let differs = a.iter().zip(b).find(|(a, b)| a != b);
            let what = format!(
                "{} at node {} sees {} messages of {pair:?}, {} at node {} sees {}; first difference {differs:?}",
                known.reader,
                known.node,
                a.len(),
                view.reader,
                view.node,
                b.len(),
            );
            self.breach(Kind::Disagreement, what);
        }
    }

    /// What was acknowledged is kept as it was said, with what became of it; and nothing is kept twice.
    fn kept_as_sent(&mut self) {
        for sent in &self.record.sent {
            let ids = self.ids.get(sent.content.as_str());
            if let Some(ids) = ids.filter(|ids| ids.len() > 1) {
                self.breach(Kind::Doubled, format!("{} is kept as {ids:?}", sent.content));
            }
            let Outcome::Acknowledged(receipt) = &sent.outcome else {
                continue;
            };
            let Some(&kept) = self.kept.get(receipt.id.as_str()) else {
                self.breach(Kind::Lost, format!("{} was acknowledged: {receipt:?}", sent.content));
                continue;
            };
            if kept.receipt != *receipt {
                self.breach(Kind::Altered, format!("{receipt:?} was said, {kept:?} is kept"));
            }
            self.fate(sent, kept);
        }
    }

    /// What somebody did to a message shows, and nothing else.
    fn fate(&mut self, sent: &Sent, kept: &Kept) {
        let changes = self.changes.get(kept.receipt.id.as_str()).cloned().unwrap_or_default();
        // Deletion ends it; before that, the last acknowledged edit holds, or one after it that nobody answered.
        let mut contents = vec![sent.content.as_str()];
        let (mut may_be_deleted, mut must_be_deleted) = (false, false);
        let marked = (kept.receiver.clone(), kept.receipt.chat.clone());
        let (mut may_be_read, mut must_be_read) = (self.record.marked.contains(&marked), false);
        for change in changes {
            match &change.what {
                Alteration::Edited(content) => {
                    if change.acknowledged {
                        contents.clear();
                    }
                    contents.push(content);
                }
                Alteration::Deleted => {
                    may_be_deleted = true;
                    must_be_deleted |= change.acknowledged;
                }
                Alteration::Read => {
                    may_be_read = true;
                    // A receipt for what is deleted is acknowledged and passed over.
                    must_be_read |= change.acknowledged && !kept.is_deleted;
                }
            }
        }
        let content_fits = if kept.is_deleted {
            kept.content.is_empty()
        } else {
            contents.contains(&kept.content.as_str()) && kept.is_edited == (kept.content != sent.content)
        };
        let deleted_fits = if kept.is_deleted {
            may_be_deleted
        } else {
            !must_be_deleted
        };
        let read_fits = if kept.is_read { may_be_read } else { !must_be_read };
        if !(content_fits && deleted_fits && read_fits) {
            let what = format!("{kept:?}, where {contents:?}, deleted {must_be_deleted}, read {must_be_read} was said");
            self.breach(Kind::Altered, what);
        }
    }

    /// Of each socket and chat, seq grows as it was sent.
    fn senders_order(&mut self) {
        let mut newest: HashMap<(usize, &str), u64> = HashMap::new();
        for sent in &self.record.sent {
            let (Some(lane), Some(receipt), false) = (sent.lane, sent.receipt(), sent.retried) else {
                continue;
            };
            let before = newest.insert((lane, &receipt.chat), receipt.seq).unwrap_or_default();
            if before >= receipt.seq {
                let what = format!("{} has seq {} after {before}", sent.content, receipt.seq);
                self.breach(Kind::Reordered, what);
            }
        }
    }

    /// What a socket was told concerns it, is true, comes once and in a sender's order, and is all there is.
    fn heard(&mut self, heard: &Heard) {
        let mut known: HashSet<&str> = HashSet::new();
        for id in heard
            .messages
            .iter()
            .map(|told| &told.receipt.id)
            .chain(&heard.confirmed)
        {
            if !known.insert(id) {
                self.breach(Kind::Doubled, format!("{} was told twice of {id}", heard.user));
            }
        }
        let mut newest: HashMap<usize, usize> = HashMap::new();
        for told in &heard.messages {
            if told.sender != heard.user && told.receiver != heard.user {
                self.breach(Kind::Leaked, format!("{} was told {told:?}", heard.user));
            }
            let Some(&at) = self.by_content.get(told.content.as_str()) else {
                self.breach(Kind::Invented, format!("{} was told {told:?}", heard.user));
                continue;
            };
            let sent = &self.record.sent[at];
            match self.kept.get(told.receipt.id.as_str()) {
                None => self.breach(
                    Kind::Lost,
                    format!("{} was told {told:?}, which is not kept", heard.user),
                ),
                Some(kept) => {
                    let truth = (&kept.receipt, &kept.sender, &kept.receiver);
                    if truth != (&told.receipt, &told.sender, &told.receiver) {
                        self.breach(
                            Kind::Altered,
                            format!("{} was told {told:?}, kept is {kept:?}", heard.user),
                        );
                    }
                }
            }
            if let (Some(lane), false) = (sent.lane, sent.retried) {
                let before = newest.insert(lane, at);
                if before.is_some_and(|before| before > at) {
                    self.breach(Kind::Reordered, format!("{} was told {told:?} too late", heard.user));
                }
            }
        }
        self.told_of_others(heard);
        self.completeness(heard, &known);
    }

    fn told_of_others(&mut self, heard: &Heard) {
        for from in &heard.typing {
            if !self.record.typed.contains(&(from.clone(), heard.user.clone())) {
                self.breach(Kind::Leaked, format!("{} was told that {from} types", heard.user));
            }
        }
        for id in &heard.about {
            let concerned = self.kept.get(id.as_str());
            if !concerned.is_some_and(|kept| kept.sender == heard.user || kept.receiver == heard.user) {
                self.breach(Kind::Leaked, format!("{} was told about {id}", heard.user));
            }
        }
    }

    fn completeness(&mut self, heard: &Heard, known: &HashSet<&str>) {
        for sent in &self.record.sent {
            let promised = heard.must_have.includes(sent, heard.node);
            let concerned = sent.from == heard.user || sent.to == heard.user;
            if !promised || !concerned || sent.began < heard.since {
                continue;
            }
            if let Some(receipt) = sent.receipt()
                && !known.contains(receipt.id.as_str())
            {
                self.breach(Kind::Lost, format!("{} was never told {}", heard.user, sent.content));
            }
        }
    }

    /// The counts of a list are those of the messages.
    fn list(&mut self, list: &List) {
        for view in self
            .record
            .views
            .iter()
            .filter(|view| view.node == list.node && view.reader == list.user)
        {
            let Some(last) = view.messages.last() else { continue };
            let place = format!("{} with {} at node {}", view.reader, view.peer, view.node);
            let Some(listed) = list.chats.get(&last.receipt.chat) else {
                self.breach(Kind::Lost, format!("{place}: the chat is not in the list"));
                continue;
            };
            let unread = view.messages.iter();
            let unread = unread.filter(|kept| kept.receiver == view.reader && !kept.is_read && !kept.is_deleted);
            // With older messages out of sight, there may be more.
            let (least, listed_unread) = (unread.count(), listed.unread);
            let fits = if view.after == 0 {
                listed_unread == least
            } else {
                listed_unread >= least
            };
            if !fits {
                let what = format!("{place}: {listed_unread} unread are listed, there are {least}");
                self.breach(Kind::Miscounted, what);
            }
            if listed.last != *last {
                self.breach(
                    Kind::Miscounted,
                    format!("{place}: {:?} is listed, {last:?} is last", listed.last),
                );
            }
        }
    }
}
