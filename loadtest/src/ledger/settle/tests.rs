use super::*;
use crate::ledger::{Example, Told};

/// A stream of one device to one, and the history, of a server that made no mistake.
struct World {
    outbox: Outbox,
    inbox: Inbox,
    history: Conversation,
}

const STREAM: u32 = 4;

impl World {
    fn of(messages: u32) -> Self {
        let mut world = Self {
            outbox: Outbox::new(STREAM),
            inbox: Inbox::new(STREAM),
            history: Conversation::default(),
        };
        for number in 0..messages {
            world.outbox.send();
            let seq = u64::from(number) + 1;
            world.outbox.answer(number, Fate::Acked(Some(seq)));
            world.store(number, seq);
        }
        world
    }

    fn store(&mut self, number: u32, seq: u64) {
        self.history.items.push(Stored {
            seq: Some(seq),
            message: Some((STREAM, number)),
        });
    }

    fn tell(&mut self, numbers: impl IntoIterator<Item = u32>) -> &mut Self {
        for number in numbers {
            self.inbox.tell(number, Some(u64::from(number) + 1), Told::Live);
        }
        self
    }

    fn checked(&self) -> [Checked<'_>; 1] {
        [Checked {
            outbox: &self.outbox,
            inboxes: vec![&self.inbox],
        }]
    }

    fn settle(&self) -> Balance {
        settle(&self.checked(), History::Read(&self.history))
    }
}

#[track_caller]
fn only(balance: &Balance, finding: Finding, number: u32) {
    let found: Vec<_> = balance.findings().into_iter().filter(|(_, count)| *count > 0).collect();
    let example = Example {
        finding,
        stream: STREAM,
        number: Some(number),
    };
    assert_eq!(balance.examples, [example], "{found:?}");
    assert!(!balance.is_clean());
}

#[test]
fn a_faultless_server_balances() {
    let mut world = World::of(1000);
    let balance = world.tell(0..1000).settle();
    assert!(balance.is_clean(), "{balance:?}");
    assert_eq!(
        (
            balance.sent,
            balance.acked,
            balance.owed,
            balance.told,
            balance.read_back
        ),
        (1000, 1000, 1000, 1000, 1000)
    );
}

#[test]
fn acked_and_gone_is_lost() {
    let mut world = World::of(10);
    world.tell((0..10).filter(|number| *number != 9));
    world.history.items.pop();
    only(&world.settle(), Finding::Lost, 9);
    // Told and then forgotten is lost as well: promise 1.
    world.tell([9]);
    only(&world.settle(), Finding::Lost, 9);
}

/// Whoever was stopped between the acknowledgement and the delivery has it all the same.
#[test]
fn acked_is_not_lost_because_nobody_asked_the_history() {
    let mut world = World::of(10);
    world.tell(0..9);
    only(&settle(&world.checked(), History::NotAsked), Finding::Missed, 9);
    only(&settle(&world.checked(), History::Unreadable), Finding::Lost, 9);
}

#[test]
fn stored_and_not_told_is_missed() {
    let mut world = World::of(10);
    world.tell((0..10).filter(|number| *number != 3));
    only(&world.settle(), Finding::Missed, 3);
}

#[test]
fn told_twice_or_late_is_found_once() {
    let mut world = World::of(10);
    world.tell(0..10).tell([6]);
    only(&world.settle(), Finding::Doubled, 6);
    let mut world = World::of(10);
    world.tell([0, 1, 3, 2, 4, 5, 6, 7, 8, 9]);
    only(&world.settle(), Finding::OutOfOrder, 2);
}

#[test]
fn a_history_with_a_mistake_is_found() {
    let mut world = World::of(10);
    world.tell(0..10);
    world.store(5, 11);
    let twice = world.settle();
    assert_eq!(twice.doubled, 1, "{twice:?}");

    let mut world = World::of(10);
    world.tell(0..10);
    world.history.items.swap(3, 4);
    let swapped = world.settle();
    assert_eq!(swapped.out_of_order, 1);
    assert!(swapped.contradicted > 0, "its places do not count up");

    let mut world = World::of(10);
    world.tell(0..10);
    world.history.items.push(Stored {
        seq: Some(11),
        message: None,
    });
    assert_eq!(world.settle().foreign, 1);
}

#[test]
fn what_was_refused_may_not_be_there() {
    let mut world = World::of(3);
    world.tell(0..3);
    let number = world.outbox.send();
    world.outbox.answer(number, Fate::Refused);
    let balance = world.settle();
    assert!(balance.is_clean(), "{balance:?}");
    assert_eq!(balance.refused, 1);
    world.store(number, 4);
    only(&world.settle(), Finding::Contradicted, number);
}

#[test]
fn what_is_uncertain_may_be_either_and_is_owed_when_it_is_stored() {
    let mut world = World::of(3);
    world.tell(0..3);
    let number = world.outbox.send();
    world.outbox.broke();
    assert!(world.settle().is_clean());
    world.store(number, 4);
    only(&world.settle(), Finding::Missed, number);
    world.tell([number]);
    let balance = world.settle();
    assert!(balance.is_clean(), "{balance:?}");
    assert_eq!((balance.uncertain, balance.owed), (1, 4));
}

#[test]
fn no_answer_on_a_living_connection_is_found() {
    let mut world = World::of(3);
    world.tell(0..3);
    let number = world.outbox.send();
    only(&world.settle(), Finding::Unanswered, number);
}

#[test]
fn what_was_never_sent_is_foreign() {
    let mut world = World::of(3);
    world.tell(0..4);
    only(&world.settle(), Finding::Foreign, 3);
}

#[test]
fn places_must_agree() {
    let mut world = World::of(3);
    world.tell(0..2);
    world.inbox.tell(2, Some(7), Told::Live);
    only(&world.settle(), Finding::Contradicted, 2);
}

#[test]
fn every_device_is_owed() {
    let mut world = World::of(5);
    world.tell(0..5);
    let mut other = Inbox::new(STREAM);
    (0..4).for_each(|number| {
        other.tell(number, Some(u64::from(number) + 1), Told::Live);
    });
    let settled = |other: &Inbox| {
        let streams = [Checked {
            outbox: &world.outbox,
            inboxes: vec![&world.inbox, other],
        }];
        settle(&streams, History::Read(&world.history))
    };
    only(&settled(&other), Finding::Missed, 4);
    other.tell(4, Some(5), Told::CaughtUp);
    let balance = settled(&other);
    assert!(balance.is_clean(), "{balance:?}");
    assert_eq!((balance.owed, balance.told, balance.caught_up), (10, 9, 1));
}

#[test]
fn the_history_is_read_from_the_first_open_question_on() {
    let mut world = World::of(1000);
    world.tell(0..1000);
    assert_eq!(read_after(&world.checked(), 0, 100), 900);
    assert_eq!(read_after(&world.checked(), 950, 100), 950);
    assert_eq!(read_after(&world.checked(), 0, 5000), 0);
    let mut world = World::of(1000);
    world.tell((0..1000).filter(|number| *number != 500));
    assert_eq!(read_after(&world.checked(), 0, 100), 500, "message 500 has place 501");
    world.history.after = 500;
    world.history.items.drain(..500);
    only(&world.settle(), Finding::Missed, 500);
    // What is before is settled by the two sides.
    assert_eq!((world.settle().told, world.settle().read_back), (999, 500));
}
