//! What must hold when a storm is over: nothing lost, doubled, leaked or out of order; read state, counts and presence agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat_spec::req;
use serde_json::Value;

use super::play::{Actor, History, Sent, came};
use super::script::By;
use super::{Verdict, verdict};
use crate::cases::status_when;
use crate::engine::{Device, Stop, World};

/// How long events that are due may take.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn judge(w: &World, history: History) -> Result<Vec<Verdict>, Stop> {
    let users = &history.users;
    let mut verdicts = Vec::new();
    for user in users {
        let surprise = user.surprises.first();
        let got = surprise.cloned().unwrap_or_default();
        verdicts.push(verdict(
            &req::EVENTS_ACK_SUCCESS,
            surprise.is_none(),
            "success of whatever was right",
            got,
        ));
        arrived(user, users, &mut verdicts).await;
    }
    for one in users {
        for other in users.iter().filter(|other| other.number > one.number) {
            conversation(one, other, &mut verdicts).await?;
        }
        lists(one, users, &mut verdicts).await?;
        presence(w, one, users, &mut verdicts).await?;
    }
    let leaks: Vec<String> = (LEAKS.iter())
        .flat_map(|event| {
            came(&history.stranger, event)
                .into_iter()
                .map(move |payload| format!("{event} {payload}"))
        })
        .collect();
    verdicts.push(verdict(
        &req::MESSAGE_NEW_NOBODY_ELSE,
        leaks.is_empty(),
        "nothing at a stranger",
        leaks.join(", "),
    ));
    leaving(history, &mut verdicts).await?;
    Ok(verdicts)
}

/// What a stranger must never hear.
const LEAKS: [&str; 7] = [
    "new_message",
    "message_sent",
    "message_read",
    "message_edited",
    "message_deleted",
    "typing_status",
    "error",
];

/// Messages of one user to another.
fn sent<'a>(from: &'a Actor, to: &Actor) -> impl Iterator<Item = &'a Sent> {
    let to = to.number;
    from.sent.iter().filter(move |sent| sent.to == to)
}

/// The stable device has heard of every message exactly once, those of its own user that others of its devices sent included.
async fn arrived(user: &Actor, users: &[Actor], verdicts: &mut Vec<Verdict>) {
    let mut due: BTreeMap<&str, &str> = BTreeMap::new();
    for other in users.iter().filter(|other| other.number != user.number) {
        due.extend(sent(other, user).map(|sent| (sent.id.as_str(), sent.content.as_str())));
        let own = sent(user, other).filter(|sent| sent.by != By::Socket);
        due.extend(own.map(|sent| (sent.id.as_str(), sent.content.as_str())));
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ids = |device: &Device| -> Vec<String> {
        let came = came(device, "new_message");
        came.iter()
            .filter_map(|message| message["messageId"].as_str().map(str::to_owned))
            .collect()
    };
    while due.keys().any(|id| !ids(&user.stable).iter().any(|came| came == id))
        && tokio::time::Instant::now() < deadline
    {
        // Whatever comes next may be the last one that is missing.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let came = came(&user.stable, "new_message");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for message in &came {
        *counts
            .entry(message["messageId"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    let missing: Vec<&&str> = due
        .iter()
        .filter(|(id, _)| !counts.contains_key(*id))
        .map(|(_, content)| content)
        .collect();
    let who = user.stable.label();
    verdicts.push(verdict(
        &req::MESSAGE_NEW_RECEIVER_DEVICES,
        missing.is_empty(),
        format!("all at {who}"),
        format!("missing {missing:?}"),
    ));
    let doubled: Vec<&&str> = counts
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(id, _)| id)
        .collect();
    verdicts.push(verdict(
        &req::MESSAGE_NEW_EXACTLY_ONCE,
        doubled.is_empty(),
        format!("once each at {who}"),
        format!("{doubled:?}"),
    ));
    let strange: Vec<&&str> = counts.keys().filter(|id| !due.contains_key(**id)).collect();
    verdicts.push(verdict(
        &req::MESSAGE_NEW_NOBODY_ELSE,
        strange.is_empty(),
        format!("nothing else at {who}"),
        format!("{strange:?}"),
    ));
    let changed = came.iter().find(|message| {
        let sent = due.get(message["messageId"].as_str().unwrap_or_default());
        sent.is_some_and(|content| message["content"] != *content)
    });
    verdicts.push(verdict(
        &req::MESSAGE_NEW_AGREES,
        changed.is_none(),
        "content as it was sent",
        changed.unwrap_or(&Value::Null),
    ));
    // What one device of another user sent comes in its order.
    for other in users.iter().filter(|other| other.number != user.number) {
        let order: Vec<usize> = (sent(other, user).filter(|sent| sent.by == By::Socket))
            .filter_map(|sent| came.iter().position(|message| message["messageId"] == sent.id.as_str()))
            .collect();
        verdicts.push(verdict(
            &req::EVENTS_ORDER_ONE_DEVICE,
            order.is_sorted(),
            format!("the order of one device at {who}"),
            format!("{order:?}"),
        ));
    }
    let own = user.sent.iter().filter(|sent| sent.by == By::Socket);
    let told: BTreeSet<String> = ids_of(&user.stable, "message_sent");
    let untold: Vec<&str> = own
        .filter(|sent| !told.contains(&sent.id))
        .map(|sent| sent.content.as_str())
        .collect();
    verdicts.push(verdict(
        &req::MESSAGE_SENT_SENDING_SOCKET,
        untold.is_empty(),
        "message_sent for each",
        format!("{untold:?}"),
    ));
}

fn ids_of(device: &Device, event: &str) -> BTreeSet<String> {
    let came = came(device, event);
    came.iter()
        .filter_map(|payload| payload["messageId"].as_str().map(str::to_owned))
        .collect()
}

/// The whole history of two users, page by page.
async fn pages(one: &Actor, other: &Actor) -> Result<Vec<Value>, Stop> {
    let mut items: Vec<Value> = Vec::new();
    loop {
        let after = items.last().and_then(|message| message["seq"].as_u64()).unwrap_or(0);
        let page = one
            .user
            .conversation(&other.user, &format!("?after={after}&limit=37"))
            .await?;
        if page.items()?.is_empty() {
            return Ok(items);
        }
        items.extend_from_slice(page.items()?);
    }
}

fn without_client_id(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(members) = message.as_object_mut() {
        members.remove("clientMessageId");
    }
    message
}

async fn conversation(one: &Actor, other: &Actor, verdicts: &mut Vec<Verdict>) -> Result<(), Stop> {
    let (mine, theirs) = (pages(one, other).await?, pages(other, one).await?);
    let same = mine
        .iter()
        .map(without_client_id)
        .eq(theirs.iter().map(without_client_id));
    verdicts.push(verdict(
        &req::CONVERSATION_BOTH_SAME,
        same,
        "one history for both",
        "two",
    ));
    let seqs: Vec<u64> = mine.iter().filter_map(|message| message["seq"].as_u64()).collect();
    let gapless = seqs.iter().copied().eq(1..=mine.len() as u64);
    verdicts.push(verdict(
        &req::PROMISES_SEQ_GAPLESS,
        gapless,
        "1, 2, 3 …",
        format!("{seqs:?}"),
    ));
    let stored: BTreeMap<&str, &Value> = mine
        .iter()
        .filter_map(|message| Some((message["id"].as_str()?, message)))
        .collect();
    let all: Vec<(&Actor, &Sent)> = (sent(one, other).map(|sent| (one, sent)))
        .chain(sent(other, one).map(|sent| (other, sent)))
        .collect();
    let surplus = stored.len().abs_diff(all.len());
    verdicts.push(verdict(
        &req::SEND_IDEMPOTENT_NO_SECOND,
        surplus == 0,
        format!("{} messages", all.len()),
        stored.len(),
    ));
    for (from, sent) in &all {
        let Some(message) = stored.get(sent.id.as_str()) else {
            verdicts.push(verdict(
                &req::SEND_SUCCESS_STORED,
                false,
                format!("{:?}", sent.content),
                "nothing",
            ));
            continue;
        };
        let content = match (from.deleted.contains(&sent.id), from.edited.get(&sent.id)) {
            (true, _) => "",
            (false, Some(edited)) => edited,
            (false, None) => &sent.content,
        };
        let good =
            message["content"] == content && message["seq"] == sent.seq && message["sender"] == from.user.id.as_str();
        verdicts.push(verdict(
            &req::MESSAGE_NEW_AGREES,
            good,
            format!("{content:?} as {}", sent.seq),
            message,
        ));
        verdicts.push(verdict(
            &req::SHAPES_MESSAGE_TOMBSTONE,
            message["deletedAt"].is_string() == from.deleted.contains(&sent.id),
            "deletedAt of what was deleted, and of nothing else",
            message,
        ));
    }
    for (from, reader) in [(one, other), (other, one)] {
        read_state(from, reader, &mine, verdicts).await;
        // What one device sent stands in its order.
        let by_device: Vec<u64> = sent(from, reader)
            .filter(|sent| sent.by == By::Socket)
            .map(|sent| sent.seq)
            .collect();
        verdicts.push(verdict(
            &req::EVENTS_ORDER_ONE_DEVICE,
            by_device.is_sorted(),
            "seq in the order of sending",
            format!("{by_device:?}"),
        ));
    }
    Ok(())
}

/// Whatever is read was told to its sender once; whatever was acknowledged as read is.
async fn read_state(from: &Actor, reader: &Actor, history: &[Value], verdicts: &mut Vec<Verdict>) {
    let to_reader = history
        .iter()
        .filter(|message| message["receiver"] == reader.user.id.as_str());
    for message in to_reader.filter(|message| message["deletedAt"].is_null()) {
        let id = message["id"].as_str().unwrap_or_default();
        let is_read = message["isRead"] == true;
        let consistent = is_read == message["readAt"].is_string();
        verdicts.push(verdict(
            &req::READ_STATE_STORED,
            consistent,
            "isRead and readAt together",
            message,
        ));
        let receipt = reader.read.contains(id);
        verdicts.push(verdict(
            &req::RECEIPT_SUCCESS_READ,
            is_read || !receipt,
            "a read message",
            message,
        ));
        if is_read {
            let told = || {
                came(&from.stable, "message_read")
                    .into_iter()
                    .filter(|read| read["messageId"] == id)
                    .collect::<Vec<_>>()
            };
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while told().is_empty() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let told = told();
            let good = told.len() == 1
                && told[0]["readAt"] == message["readAt"]
                && told[0]["readerId"] == reader.user.id.as_str();
            verdicts.push(verdict(
                &req::READ_EVENT_SENDER_DEVICES,
                good,
                format!("one message_read like {message}"),
                format!("{told:?}"),
            ));
        }
    }
}

/// The list of chats says of each chat what its history says.
async fn lists(user: &Actor, users: &[Actor], verdicts: &mut Vec<Verdict>) -> Result<(), Stop> {
    let chats = user.user.get("/api/messages/chats?limit=100").await?;
    let activity: Vec<&str> = chats
        .items()?
        .iter()
        .filter_map(|chat| chat["lastActivity"].as_str())
        .collect();
    verdicts.push(verdict(
        &req::CHATS_LIST_ORDER,
        activity.is_sorted_by(|a, b| a >= b),
        "the latest first",
        format!("{activity:?}"),
    ));
    let mut peers = 0;
    for other in users.iter().filter(|other| other.number != user.number) {
        let history = pages(user, other).await?;
        let Some(newest) = history.last() else { continue };
        peers += 1;
        let chat = chats
            .items()?
            .iter()
            .find(|chat| chat["id"] == newest["chatId"])
            .unwrap_or(&Value::Null);
        let unread = history.iter().filter(|message| {
            message["receiver"] == user.user.id.as_str() && message["isRead"] == false && message["deletedAt"].is_null()
        });
        let unread = unread.count();
        verdicts.push(verdict(
            &req::SHAPES_CHAT_UNREAD_COUNT,
            chat["unreadCount"] == unread,
            unread,
            &chat["unreadCount"],
        ));
        verdicts.push(verdict(
            &req::SHAPES_CHAT_LAST_MESSAGE,
            chat["lastMessage"] == *newest,
            newest,
            &chat["lastMessage"],
        ));
        verdicts.push(verdict(
            &req::SHAPES_CHAT_LAST_ACTIVITY,
            chat["lastActivity"] == newest["timestamp"],
            &newest["timestamp"],
            &chat["lastActivity"],
        ));
    }
    verdicts.push(verdict(
        &req::CHATS_LIST_OWN,
        chats.items()?.len() == peers,
        format!("{peers} chats"),
        chats.items()?.len(),
    ));
    Ok(())
}

/// Who stayed is shown as the last status says, and never seemed to come or go.
async fn presence(w: &World, user: &Actor, users: &[Actor], verdicts: &mut Vec<Verdict>) -> Result<(), Stop> {
    let Some(viewer) = users.iter().find(|other| other.number != user.number) else {
        return Ok(());
    };
    let shown = status_when(w, &viewer.user, &user.user, |shown| shown["status"] == user.status).await?;
    let got = &shown["status"];
    verdicts.push(verdict(
        &req::PRESENCE_STATUS_LAST_WINS,
        *got == user.status,
        user.status,
        got,
    ));
    if user.was_invisible {
        return Ok(());
    }
    for other in users.iter().filter(|other| other.number != user.number) {
        let of_user = |event| {
            came(&other.stable, event)
                .iter()
                .filter(|payload| payload["userId"] == user.user.id.as_str())
                .count()
        };
        let (comings, goings) = (of_user("user_online"), of_user("user_offline"));
        verdicts.push(verdict(
            &req::PRESENCE_OFFLINE_NOT_FIRST,
            goings == 0,
            "no user_offline while one device stays",
            goings,
        ));
        verdicts.push(verdict(
            &req::PRESENCE_ONLINE_NOT_SECOND,
            comings <= 1,
            "one user_online",
            comings,
        ));
    }
    Ok(())
}

/// The last device of the first user goes: partners hear of it, unless it was invisible.
async fn leaving(history: History, verdicts: &mut Vec<Verdict>) -> Result<(), Stop> {
    let mut users = history.users.into_iter();
    let Some(gone) = users.next() else { return Ok(()) };
    let others: Vec<Actor> = users.collect();
    let wrote = |other: &Actor| sent(&gone, other).next().is_some() || sent(other, &gone).next().is_some();
    let partners: Vec<&Actor> = others.iter().filter(|other| wrote(other)).collect();
    let Actor {
        user, stable, status, ..
    } = gone;
    stable.disconnect().await;
    let of_user = |payload: &Value| payload["userId"] == user.id.as_str();
    for partner in partners.into_iter().filter(|_| status != "offline") {
        let heard = partner.stable.take_within(PATIENCE, "user_offline", of_user).await;
        verdicts.push(verdict(
            &req::PRESENCE_OFFLINE_LAST_DEVICE,
            heard.is_some(),
            "user_offline",
            partner.stable.names(),
        ));
        let shown = partner.user.get(&format!("/api/users/{}/status", user.id)).await?;
        verdicts.push(verdict(
            &req::PRESENCE_OFFLINE_LAST_DEVICE,
            shown.body["status"] == "offline",
            "offline",
            &shown.body["status"],
        ));
    }
    Ok(())
}
