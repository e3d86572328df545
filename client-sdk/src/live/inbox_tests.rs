use std::task::Waker;

use chat_protocol::MessageType;

use super::*;

fn id<T: std::str::FromStr<Err = chat_protocol::InvalidId>>(text: &str) -> T {
    text.parse().unwrap()
}

/// The `seq`-th message of the chat with Bob.
fn message(seq: u64, from_bob: bool) -> Message {
    let (sender, receiver) = if from_bob { ("bob", "ann") } else { ("ann", "bob") };
    Message {
        id: id(&format!("m{seq}")),
        chat_id: id("chat"),
        seq: Some(seq),
        sender: id(sender),
        receiver: id(receiver),
        content: seq.to_string(),
        message_type: MessageType::Text,
        is_read: false,
        read_at: None,
        timestamp: Timestamp::from_millis(1_700_000_000_000),
        edited_at: None,
        deleted_at: None,
        client_message_id: None,
    }
}

fn inbox() -> Inbox {
    let inbox = Inbox::new(id("ann"), None);
    inbox.begun(None);
    inbox
}

/// What is there for a reader.
fn taken(inbox: &Inbox, reader: ReaderId) -> Vec<u64> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut seqs = Vec::new();
    while let Poll::Ready(Next::Message(message)) = inbox.poll(reader, false, &mut cx) {
        seqs.extend(message.seq);
    }
    seqs
}

#[test]
fn in_whatever_order_they_come_each_is_passed_on_once_and_in_order() {
    let inbox = inbox();
    let (reader, _) = inbox.subscribe(100, true, true);
    let gaps: Vec<bool> = [2, 4, 1, 1, 3, 2, 5]
        .into_iter()
        .map(|seq| inbox.live(Cow::Owned(message(seq, true))))
        .collect();
    assert_eq!(taken(&inbox, reader), [1, 2, 3, 4, 5]);
    assert_eq!(gaps, [true, true, true, false, false, false, false]);
    assert_eq!(inbox.state().held, 0);
}

#[test]
fn a_gap_is_filled_from_the_history_and_what_waited_follows() {
    let inbox = inbox();
    let (reader, _) = inbox.subscribe(100, true, true);
    inbox.live(Cow::Owned(message(1, true)));
    inbox.live(Cow::Owned(message(4, true)));
    inbox.live(Cow::Owned(message(6, true)));
    let gap = inbox.gap(|_| true).unwrap();
    assert_eq!((gap.peer.as_str(), gap.after, gap.until), ("bob", 1, 6));
    inbox.history(&gap, vec![message(2, true), message(3, false), message(4, true)], false);
    assert_eq!(taken(&inbox, reader), [1, 2, 3, 4]);
    let gap = inbox.gap(|_| true).unwrap();
    assert_eq!(gap.after, 4);
    inbox.history(&gap, vec![message(5, true), message(6, true), message(7, true)], true);
    assert_eq!(taken(&inbox, reader), [5, 6, 7]);
    assert_eq!(inbox.gap(|_| true), None);
    // What the history told already comes live now.
    assert!(!inbox.live(Cow::Owned(message(7, true))));
    assert_eq!(taken(&inbox, reader), [0; 0]);
    assert_eq!(inbox.state().held, 0);
}

#[test]
fn a_hole_in_the_history_does_not_hold_up_for_ever() {
    let inbox = inbox();
    let (reader, _) = inbox.subscribe(100, true, true);
    inbox.live(Cow::Owned(message(3, true)));
    inbox.history(&inbox.gap(|_| true).unwrap(), Vec::new(), true);
    assert_eq!(taken(&inbox, reader), [3]);
    assert_eq!(inbox.gap(|_| true), None);
}

#[test]
fn a_page_that_is_older_than_what_came_meanwhile_is_no_hole() {
    let inbox = inbox();
    let (reader, _) = inbox.subscribe(100, true, true);
    inbox.live(Cow::Owned(message(2, true)));
    let gap = inbox.gap(|_| true).unwrap();
    // While the page is on its way, more is stored and told.
    inbox.live(Cow::Owned(message(5, true)));
    inbox.history(&gap, vec![message(1, true), message(2, true)], true);
    assert_eq!(taken(&inbox, reader), [1, 2]);
    let gap = inbox.gap(|_| true).unwrap();
    assert_eq!((gap.after, gap.until), (2, 5));
    inbox.history(&gap, (3..=5).map(|seq| message(seq, true)).collect(), true);
    assert_eq!(taken(&inbox, reader), [3, 4, 5]);
}

#[test]
fn a_slow_reader_misses_nothing_that_came_while_it_fetched() {
    let inbox = inbox();
    let (slow, _) = inbox.subscribe(1, true, true);
    for seq in 1..=3 {
        inbox.live(Cow::Owned(message(seq, true)));
    }
    assert_eq!(taken(&inbox, slow), [1]);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Next::Fetch(gap)) = inbox.poll(slow, false, &mut cx) else {
        panic!("it is to fetch what it missed");
    };
    inbox.live(Cow::Owned(message(4, true)));
    inbox.fetched(slow, &gap, vec![message(2, true), message(3, true)], true);
    assert_eq!(taken(&inbox, slow), [2, 3]);
    let Poll::Ready(Next::Fetch(gap)) = inbox.poll(slow, false, &mut cx) else {
        panic!("it is to fetch what came meanwhile");
    };
    inbox.fetched(slow, &gap, vec![message(4, true)], true);
    assert_eq!(taken(&inbox, slow), [4]);
    inbox.live(Cow::Owned(message(5, true)));
    assert_eq!(taken(&inbox, slow), [5]);
}

#[test]
fn what_cannot_be_fetched_holds_up_no_other_chat() {
    let inbox = inbox();
    let (slow, _) = inbox.subscribe(1, true, true);
    for chat in ["full", "one", "two"] {
        inbox.live(Cow::Owned(first_message(chat, 0)));
    }
    assert_eq!(taken(&inbox, slow), [1]);
    let mut cx = Context::from_waker(Waker::noop());
    let mut fetch = || match inbox.poll(slow, false, &mut cx) {
        Poll::Ready(Next::Fetch(gap)) => gap,
        _ => panic!("it is to fetch what it missed"),
    };
    let first = fetch();
    inbox.not_fetched(slow, &first);
    let second = fetch();
    assert_ne!(first.chat, second.chat, "the other one comes first now");
    inbox.not_fetched(slow, &second);
    // While something is fetched, what comes of other chats is passed on.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(inbox.poll(slow, true, &mut cx).is_pending());
    inbox.live(Cow::Owned(first_message("third", 0)));
    let passed_on = inbox.poll(slow, true, &mut cx);
    assert!(matches!(passed_on, Poll::Ready(Next::Message(message)) if message.chat_id.as_str() == "third"));
    inbox.close();
    assert!(matches!(inbox.poll(slow, true, &mut cx), Poll::Ready(Next::End)));
}

#[test]
fn a_slow_reader_loses_nothing_and_nothing_grows() {
    let inbox = inbox();
    let (slow, _) = inbox.subscribe(3, true, true);
    let (quick, _) = inbox.subscribe(100, true, true);
    for seq in 1..=10 {
        inbox.live(Cow::Owned(message(seq, true)));
    }
    assert_eq!(taken(&inbox, quick).len(), 10);
    assert_eq!(inbox.state().readers[&slow].waits(), 3);
    assert_eq!(inbox.lagged(slow), 7);
    assert_eq!(taken(&inbox, slow), [1, 2, 3]);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Next::Fetch(gap)) = inbox.poll(slow, false, &mut cx) else {
        panic!("it is to fetch what it missed");
    };
    assert_eq!((gap.after, gap.until), (3, 10));
    // The history is ahead of what was passed on: that comes live.
    inbox.fetched(slow, &gap, (4..=12).map(|seq| message(seq, true)).collect(), true);
    assert_eq!(taken(&inbox, slow), [4, 5, 6, 7, 8, 9, 10]);
    for seq in 11..=13 {
        inbox.live(Cow::Owned(message(seq, true)));
    }
    assert_eq!(taken(&inbox, slow), [11, 12, 13]);
}

#[test]
fn what_waits_for_a_gap_is_bounded() {
    let inbox = inbox();
    let (reader, _) = inbox.subscribe(10_000, true, true);
    for seq in 2..5_000 {
        assert!(inbox.live(Cow::Owned(message(seq, true))));
    }
    assert_eq!(inbox.state().held, MOST_HELD);
    inbox.live(Cow::Owned(message(1, true)));
    let gap = inbox.gap(|_| true).unwrap();
    let after = gap.after;
    assert_eq!(after, MOST_HELD as u64 + 1);
    inbox.history(&gap, (after..5_000).map(|seq| message(seq, true)).collect(), true);
    assert_eq!(taken(&inbox, reader), (1..5_000).collect::<Vec<_>>());
    assert_eq!(inbox.state().held, 0);
}

#[test]
fn readers_begin_where_the_client_did_or_now() {
    let inbox = Inbox::new(id("ann"), None);
    inbox.begin(&message(5, true));
    inbox.begun(None);
    inbox.live(Cow::Owned(message(6, true)));
    let (first, position) = inbox.subscribe(10, false, true);
    let (second, _) = inbox.subscribe(10, false, false);
    assert_eq!(position.chats[&id::<ChatId>("chat")], 5);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Next::Fetch(gap)) = inbox.poll(first, false, &mut cx) else {
        panic!("it is to fetch what came before it");
    };
    inbox.fetched(first, &gap, vec![message(6, true)], true);
    inbox.live(Cow::Owned(message(7, false)));
    inbox.live(Cow::Owned(message(8, true)));
    // One's own is for those who want everything.
    assert_eq!(taken(&inbox, first), [6, 8]);
    assert_eq!(taken(&inbox, second), [8]);
}

/// Of a chat of its own, so many minutes after the others.
fn first_message(chat: &str, minutes: i64) -> Message {
    let mut message = message(1, true);
    message.chat_id = id(chat);
    message.timestamp = Timestamp::from_millis(message.timestamp.as_millis() + minutes * 60_000);
    message
}

fn minutes(at: Option<Timestamp>) -> Option<i64> {
    let zero = message(1, true).timestamp.as_millis();
    at.map(|at| (at.as_millis() - zero) / 60_000)
}

#[test]
fn what_comes_live_does_not_hide_what_is_still_to_be_fetched() {
    let inbox = Inbox::new(id("ann"), None);
    inbox.begin(&first_message("a", 0));
    inbox.begun(Some(first_message("a", 0).timestamp));
    inbox.break_off();
    inbox.caught_up();
    inbox.live(Cow::Owned(first_message("b", 5)));
    assert_eq!(minutes(inbox.surely_seen()), Some(4));
    inbox.break_off();
    inbox.live(Cow::Owned(first_message("c", 90)));
    // Of the hour between nothing is known yet, however often fetching it fails.
    assert_eq!(minutes(inbox.surely_seen()), Some(4));
    inbox.caught_up();
    assert_eq!(minutes(inbox.surely_seen()), Some(89));
}

#[test]
fn a_position_is_not_ahead_of_what_the_reader_did_not_take() {
    let inbox = inbox();
    inbox.caught_up();
    let (quick, _) = inbox.subscribe(10, false, true);
    let (slow, _) = inbox.subscribe(1, false, true);
    for (chat, at) in [("a", 10), ("b", 5), ("c", 20)] {
        inbox.live(Cow::Owned(first_message(chat, at)));
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut take = |reader| {
        assert!(matches!(
            inbox.poll(reader, false, &mut cx),
            Poll::Ready(Next::Message(_))
        ))
    };
    let seen_by = |reader| minutes(inbox.seen_by(reader));
    assert_eq!(seen_by(quick), Some(5));
    take(quick);
    assert_eq!(seen_by(quick), Some(5));
    take(quick);
    take(quick);
    assert_eq!(seen_by(quick), Some(20));

    // Two found no room: they are still to be fetched.
    take(slow);
    assert_eq!(seen_by(slow), None);
    for (chat, at) in [("b", 5), ("c", 20)] {
        let gap = Gap {
            chat: id(chat),
            peer: id("bob"),
            after: 0,
            until: 1,
        };
        inbox.fetched(slow, &gap, vec![first_message(chat, at)], true);
    }
    assert_eq!(seen_by(slow), Some(5));
    take(slow);
    take(slow);
    assert_eq!(seen_by(slow), Some(20));

    // A message that waits for the one before it may be older than what was passed on.
    let mut third = first_message("c", 21);
    third.seq = Some(3);
    assert!(inbox.live(Cow::Owned(third)));
    inbox.live(Cow::Owned(first_message("d", 30)));
    take(quick);
    assert_eq!(seen_by(quick), Some(20));
}

#[test]
fn a_reader_from_the_start_has_seen_what_the_client_had() {
    let position = Position {
        seen: Some(first_message("a", 3).timestamp),
        ..Position::default()
    };
    let inbox = Inbox::new(id("ann"), Some(&position));
    inbox.caught_up();
    inbox.live(Cow::Owned(first_message("b", 9)));
    let (first, _) = inbox.subscribe(10, false, true);
    let (later, _) = inbox.subscribe(10, false, false);
    let seen = [first, later].map(|reader| minutes(inbox.seen_by(reader)));
    assert_eq!(seen, [Some(3), Some(9)]);
}
