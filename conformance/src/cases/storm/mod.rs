//! Random histories of several users on many devices, and a judge of what must hold afterwards whatever happened.
//!
//! A script is made of the seed of the case. One that ends badly is played again in parts with fresh users, and the shortest
//! one that still ends badly is what the report shows.

mod judge;
mod play;
mod script;

use std::time::{Duration, Instant};

use chat_spec::{Requirement, req};

use self::script::{Act, Mix};
use crate::cases;
use crate::engine::{Outcome, Stop, World};

cases!("storm":
    a_few_users_on_many_devices for Recovery by JUDGED,
    many_users_at_once for Recovery by JUDGED,
    readers_and_editors for Recovery by JUDGED,
);

/// What a storm judges, whatever it is a mix of.
const JUDGED: &[&Requirement] = &[
    &req::CHATS_LIST_ORDER,
    &req::CHATS_LIST_OWN,
    &req::CONVERSATION_BOTH_SAME,
    &req::EVENTS_ACK_SUCCESS,
    &req::EVENTS_ORDER_ONE_DEVICE,
    &req::EVENTS_PAYLOAD_PROCESS_LIVES,
    &req::MESSAGE_NEW_AGREES,
    &req::MESSAGE_NEW_EXACTLY_ONCE,
    &req::MESSAGE_NEW_NOBODY_ELSE,
    &req::MESSAGE_NEW_RECEIVER_DEVICES,
    &req::MESSAGE_SENT_SENDING_SOCKET,
    &req::PRESENCE_OFFLINE_LAST_DEVICE,
    &req::PRESENCE_OFFLINE_NOT_FIRST,
    &req::PRESENCE_ONLINE_NOT_SECOND,
    &req::PRESENCE_STATUS_LAST_WINS,
    &req::PROMISES_SEQ_GAPLESS,
    &req::READ_EVENT_SENDER_DEVICES,
    &req::READ_STATE_STORED,
    &req::RECEIPT_SUCCESS_READ,
    &req::SEND_IDEMPOTENT_NO_SECOND,
    &req::SEND_SUCCESS_STORED,
    &req::SHAPES_CHAT_LAST_ACTIVITY,
    &req::SHAPES_CHAT_LAST_MESSAGE,
    &req::SHAPES_CHAT_UNREAD_COUNT,
    &req::SHAPES_MESSAGE_TOMBSTONE,
];

/// How often a script is played in parts.
const SHRINKS: usize = 10;
/// No part is played that would end later than this after the storm began: a case has no more than a minute.
const LONGEST: Duration = Duration::from_secs(40);

/// One judgement of a history.
pub(super) struct Verdict {
    requirement: &'static Requirement,
    pass: bool,
    expected: String,
    got: String,
}

fn verdict(requirement: &'static Requirement, pass: bool, expected: impl ToString, got: impl ToString) -> Verdict {
    // What is as it must be is not described.
    let text = |text: String| if pass { String::new() } else { text };
    Verdict {
        requirement,
        pass,
        expected: text(expected.to_string()),
        got: text(got.to_string()),
    }
}

async fn a_few_users_on_many_devices(w: World) -> Outcome {
    storm(w, 3, 150, Mix::DEVICES).await
}

async fn many_users_at_once(w: World) -> Outcome {
    storm(w, 6, 240, Mix::TALK).await
}

async fn readers_and_editors(w: World) -> Outcome {
    storm(w, 3, 150, Mix::CHANGES).await
}

async fn storm(w: World, users: usize, length: usize, mix: Mix) -> Outcome {
    let script = script::make(&mut w.rng(), users, length, mix);
    w.transcript
        .note(&format!("seed {}: {length} steps of {users} users", w.seed()));
    let began = Instant::now();
    let verdicts = attempt(&w, users, &script).await?;
    if verdicts.iter().all(|verdict| verdict.pass) {
        return record(&w, verdicts, &[]);
    }
    let (script, verdicts) = shrink(&w, users, script, verdicts, began).await;
    record(&w, verdicts, &script)
}

async fn attempt(w: &World, users: usize, script: &[Act]) -> Result<Vec<Verdict>, Stop> {
    let history = play::play(w, users, script).await?;
    judge::judge(w, history).await
}

/// Leaves out parts of the script as long as something still goes wrong.
async fn shrink(
    w: &World,
    users: usize,
    mut script: Vec<Act>,
    mut verdicts: Vec<Verdict>,
    began: Instant,
) -> (Vec<Act>, Vec<Verdict>) {
    // What failed may have waited for what never came; a part of it waits as long.
    let whole = began.elapsed();
    let mut part = script.len() / 2;
    let mut start = 0;
    for _ in 0..SHRINKS {
        if part == 0 || began.elapsed() + whole > LONGEST {
            break;
        }
        let end = (start + part).min(script.len());
        let shorter = [&script[..start], &script[end..]].concat();
        match attempt(w, users, &shorter).await {
            Ok(found) if found.iter().any(|verdict| !verdict.pass) => {
                (script, verdicts) = (shorter, found);
            }
            _ => start = end,
        }
        if start >= script.len() {
            (start, part) = (0, part / 2);
        }
    }
    (script, verdicts)
}

fn record(w: &World, verdicts: Vec<Verdict>, script: &[Act]) -> Outcome {
    let steps: Vec<String> = script
        .iter()
        .map(|act| format!("{}: {:?}", act.user, act.step))
        .collect();
    for verdict in verdicts {
        let got = match verdict.pass {
            true => String::new(),
            false => format!(
                "{} (seed {}; {} steps: {})",
                verdict.got,
                w.seed(),
                steps.len(),
                steps.join(", ")
            ),
        };
        w.check(verdict.requirement, verdict.pass, verdict.expected, got);
    }
    w.check(&req::EVENTS_PAYLOAD_PROCESS_LIVES, true, "", "");
    Ok(())
}
