//! The judge finds what it is there for: a good record with one thing wrong is a breach of that kind and of no other.

use std::time::{Duration, Instant};

use super::*;

const SENT: usize = 6;

fn receipt(number: usize) -> Receipt {
    Receipt {
        id: format!("id{number}"),
        chat: "chat".into(),
        seq: number as u64 + 1,
        timestamp: format!("2026-01-01T00:00:00.00{number}Z"),
    }
}

/// Ann sent six messages to Bob through one socket. He read the first, she edited the second and deleted the third. Bob had a
/// device at one node from the first message on, Ann a second one; both nodes show all of it.
fn good() -> Record {
    let began = Instant::now();
    let mut record = Record::default();
    let (mut kept, mut told) = (Vec::new(), Vec::new());
    for number in 0..SENT {
        let content = format!("message-{number}");
        record.sent.push(Sent {
            lane: Some(0),
            node: 0,
            from: "ann".into(),
            to: "bob".into(),
            content: content.clone(),
            began: began + Duration::from_millis(number as u64 + 1),
            outcome: Outcome::Acknowledged(receipt(number)),
            retried: false,
        });
        told.push(Told {
            receipt: receipt(number),
            sender: "ann".into(),
            receiver: "bob".into(),
            content: content.clone(),
        });
        kept.push(Kept {
            receipt: receipt(number),
            sender: "ann".into(),
            receiver: "bob".into(),
            content,
            is_read: false,
            is_edited: false,
            is_deleted: false,
        });
    }
    let edited = "message-1 edited".to_owned();
    for (number, what) in [
        (0, Alteration::Read),
        (1, Alteration::Edited(edited.clone())),
        (2, Alteration::Deleted),
    ] {
        record.changes.push(Change {
            id: receipt(number).id,
            what,
            acknowledged: true,
        });
    }
    kept[0].is_read = true;
    (kept[1].content, kept[1].is_edited) = (edited, true);
    (kept[2].content, kept[2].is_deleted) = (String::new(), true);
    let heard = |user: &str, node| Heard {
        user: user.into(),
        node,
        since: began,
        must_have: MustHave::All,
        messages: told.clone(),
        confirmed: Vec::new(),
        typing: Vec::new(),
        about: Vec::new(),
    };
    record.heard = vec![heard("bob", 1), heard("ann", 0)];
    record.heard[0].typing.push("ann".into());
    record.heard[1].about.push("id0".into());
    record.typed.insert(("ann".into(), "bob".into()));
    for node in 0..2 {
        for (reader, peer, unread) in [("ann", "bob", 0), ("bob", "ann", SENT - 2)] {
            record.views.push(View {
                node,
                reader: reader.into(),
                peer: peer.into(),
                after: 0,
                messages: kept.clone(),
            });
            let last = kept[SENT - 1].clone();
            record.lists.push(List {
                node,
                user: reader.into(),
                chats: HashMap::from([("chat".into(), Listed { unread, last })]),
            });
        }
    }
    record
}

/// The kinds of breach that there are when this is wrong.
#[track_caller]
fn finds(kind: Kind, spoil: impl FnOnce(&mut Record)) {
    let mut record = good();
    spoil(&mut record);
    let breaches = judge(&record);
    assert!(!breaches.is_empty(), "{kind:?} was not found");
    for breach in &breaches {
        assert_eq!(breach.kind, kind, "{breaches:#?}");
    }
}

/// In every view.
fn in_views(record: &mut Record, change: impl Fn(&mut Vec<Kept>)) {
    for view in &mut record.views {
        change(&mut view.messages);
    }
}

#[test]
fn a_good_record_has_no_breach() {
    assert_eq!(judge(&good()), []);
    good().must_hold("a good record");
}

#[test]
#[should_panic(expected = "never told message-4")]
fn a_breach_fails_the_test_that_has_it() {
    let mut record = good();
    record.heard[0].messages.remove(4);
    record.must_hold("a bad record");
}

#[test]
fn an_acknowledged_message_that_is_not_kept_is_lost() {
    finds(Kind::Lost, |record| {
        in_views(record, |kept| {
            kept.pop();
        });
        for heard in &mut record.heard {
            heard.messages.pop();
            heard.must_have = MustHave::Nothing;
        }
        for list in &mut record.lists {
            let last = record.views[0].messages.last().unwrap().clone();
            let unread = if list.user == "bob" { SENT - 3 } else { 0 };
            list.chats.insert("chat".into(), Listed { unread, last });
        }
    });
}

#[test]
fn a_message_that_is_told_and_not_kept_is_lost() {
    finds(Kind::Lost, |record| {
        let mut never = record.sent[0].clone();
        never.content = "message-x".into();
        never.outcome = Outcome::Unknown;
        record.sent.push(never);
        let mut told = record.heard[0].messages[5].clone();
        (told.receipt.id, told.content) = ("idx".into(), "message-x".into());
        told.receipt.seq = 7;
        record.heard[0].messages.push(told);
    });
}

#[test]
fn a_message_that_is_never_told_is_lost() {
    finds(Kind::Lost, |record| {
        record.heard[0].messages.remove(3);
    });
    // The sender's other devices are told too.
    finds(Kind::Lost, |record| {
        record.heard[1].messages.remove(3);
    });
}

#[test]
fn what_was_promised_to_be_told_depends_on_what_lives() {
    // Ann's second device is at the node that she sent at, Bob's is not.
    for (at, must_have, promised) in [
        (0, MustHave::OfItsNode, false),
        (1, MustHave::OfItsNode, true),
        (1, MustHave::Nothing, false),
    ] {
        let mut record = good();
        record.heard[at].must_have = must_have;
        record.heard[at].messages.remove(3);
        assert_eq!(judge(&record).len(), usize::from(promised));
    }
    // What was sent before it came it may have missed.
    let mut record = good();
    record.heard[0].since = record.sent[3].began + Duration::from_micros(1);
    record.heard[0].messages.remove(3);
    assert_eq!(judge(&record), []);
}

#[test]
fn a_chat_that_is_not_listed_is_lost() {
    finds(Kind::Lost, |record| record.lists[3].chats.clear());
}

#[test]
fn what_is_kept_twice_is_doubled() {
    finds(Kind::Doubled, |record| {
        in_views(record, |kept| {
            let mut again = kept[5].clone();
            (again.receipt.id, again.receipt.seq) = ("again".into(), 7);
            kept.push(again);
        });
        for list in &mut record.lists {
            let last = record.views[0].messages[6].clone();
            let unread = if list.user == "bob" { SENT - 1 } else { 0 };
            list.chats.insert("chat".into(), Listed { unread, last });
        }
    });
}

#[test]
fn what_is_told_twice_is_doubled() {
    finds(Kind::Doubled, |record| {
        let again = record.heard[0].messages[5].clone();
        record.heard[0].messages.push(again);
    });
    // Also when it is both confirmed and told.
    finds(Kind::Doubled, |record| record.heard[1].confirmed.push("id4".into()));
}

#[test]
fn what_a_stranger_is_told_is_leaked() {
    finds(Kind::Leaked, |record| {
        record.heard[0].user = "eve".into();
        record.typed.insert(("ann".into(), "eve".into()));
    });
    finds(Kind::Leaked, |record| {
        record.typed.clear();
    });
    finds(Kind::Leaked, |record| {
        let mut eve = record.heard[1].clone();
        (eve.user, eve.messages) = ("eve".into(), Vec::new());
        record.heard.push(eve);
    });
}

#[test]
fn what_a_stranger_reads_is_leaked() {
    finds(Kind::Leaked, |record| {
        let mut view = record.views[0].clone();
        (view.reader, view.messages) = ("eve".into(), view.messages[..1].to_vec());
        record.views.push(view);
        let mut list = record.lists[0].clone();
        let last = record.views[0].messages[0].clone();
        (list.user, list.chats) = (
            "eve".into(),
            HashMap::from([("chat".into(), Listed { unread: 0, last })]),
        );
        record.lists.push(list);
    });
}

#[test]
fn what_is_kept_in_another_order_is_reordered() {
    finds(Kind::Reordered, |record| {
        // Everybody agrees, but the sender sent the fifth after the sixth.
        record.sent.swap(4, 5);
        for heard in &mut record.heard {
            heard.messages.swap(4, 5);
        }
    });
}

#[test]
fn what_is_told_in_another_order_is_reordered() {
    finds(Kind::Reordered, |record| record.heard[0].messages.swap(3, 4));
}

#[test]
fn a_missing_seq_is_a_hole() {
    finds(Kind::Hole, |record| {
        // Nobody ever said that it was sent.
        record.sent.remove(3);
        in_views(record, |kept| {
            kept.remove(3);
        });
        for heard in &mut record.heard {
            heard.messages.remove(3);
        }
        for list in &mut record.lists {
            let listed = list.chats.get_mut("chat").unwrap();
            listed.unread = listed.unread.saturating_sub(1);
        }
    });
    // Also where older messages are out of sight.
    finds(Kind::Hole, |record| {
        for view in &mut record.views {
            view.after = 1;
        }
    });
}

#[test]
fn another_seq_or_time_than_was_said_is_altered() {
    finds(Kind::Altered, |record| {
        let Outcome::Acknowledged(receipt) = &mut record.sent[3].outcome else {
            panic!();
        };
        receipt.timestamp = "2026-01-01T00:00:00.999Z".into();
    });
    finds(Kind::Altered, |record| record.heard[0].messages[3].receipt.seq = 9);
}

#[test]
fn a_change_that_does_not_show_is_altered() {
    for number in 0..3 {
        finds(Kind::Altered, |record| {
            // What was not done shows: as wrong as what was done and does not show.
            record.changes.remove(number);
        });
    }
    finds(Kind::Altered, |record| {
        let mut later = record.changes[1].clone();
        later.what = Alteration::Edited("message-1 edited again".into());
        record.changes.push(later);
    });
}

#[test]
fn a_change_that_nobody_answered_may_show_or_not() {
    let mut record = good();
    for change in &mut record.changes {
        change.acknowledged = false;
    }
    for (id, what) in [
        ("id3", Alteration::Read),
        ("id4", Alteration::Deleted),
        ("id1", Alteration::Edited("message-1 edited again".into())),
    ] {
        record.changes.push(Change {
            id: id.into(),
            what,
            acknowledged: false,
        });
    }
    assert_eq!(judge(&record), []);
}

#[test]
fn a_chat_that_was_marked_may_be_read_and_what_is_deleted_need_not() {
    let mut record = good();
    record.changes.remove(0);
    record.changes.push(Change {
        id: "id2".into(),
        what: Alteration::Read,
        acknowledged: true,
    });
    record.marked.insert(("bob".into(), "chat".into()));
    assert_eq!(judge(&record), []);
}

#[test]
fn what_nobody_sent_is_invented() {
    finds(Kind::Invented, |record| {
        record.sent.remove(3);
    });
}

#[test]
fn a_wrong_count_or_last_message_is_miscounted() {
    finds(Kind::Miscounted, |record| {
        record.lists[1].chats.get_mut("chat").unwrap().unread += 1;
    });
    finds(Kind::Miscounted, |record| {
        let older = record.views[0].messages[4].clone();
        record.lists[1].chats.get_mut("chat").unwrap().last = older;
    });
}

#[test]
fn nodes_that_show_different_things_disagree() {
    finds(Kind::Disagreement, |record| {
        record.views[3].messages[4].is_read = true;
        record.changes.push(Change {
            id: "id4".into(),
            what: Alteration::Read,
            acknowledged: false,
        });
        record.lists[3].chats.get_mut("chat").unwrap().unread -= 1;
    });
}

#[test]
fn what_was_not_acknowledged_may_be_kept_once_or_not_at_all() {
    let mut record = good();
    for (number, outcome) in [(4, Outcome::Refused), (5, Outcome::Unknown)] {
        record.sent[number].outcome = outcome;
    }
    assert_eq!(judge(&record), [], "both are kept");
    for (content, outcome) in [("message-x", Outcome::Refused), ("message-y", Outcome::Unknown)] {
        let mut never = record.sent[0].clone();
        (never.content, never.outcome) = (content.into(), outcome);
        record.sent.push(never);
    }
    assert_eq!(judge(&record), [], "these are not kept");
}

#[test]
fn what_was_sent_again_need_not_be_told_but_never_twice() {
    let mut record = good();
    record.sent[3].retried = true;
    for heard in &mut record.heard {
        heard.messages.remove(3);
    }
    assert_eq!(judge(&record), []);
    finds(Kind::Doubled, |record| {
        record.sent[3].retried = true;
        let again = record.heard[0].messages[3].clone();
        record.heard[0].messages.push(again);
    });
}
