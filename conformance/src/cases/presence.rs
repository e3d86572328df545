//! Who is here.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::{Value, json};

use super::consistency::{as_others_see, listed};
use crate::cases;
use crate::engine::{Connection, Device, Outcome, Stop, Transport, User, World};

/// A user who is back so soon is back within any grace that is worth its name.
const IN_TIME: Duration = Duration::from_secs(1);
/// The longest grace that the contract allows, and when whoever has left is surely gone.
const GRACE: Duration = Duration::from_secs(5);
const GONE_AT_LAST: Duration = Duration::from_secs(13);
/// Times have three decimals: what is so far apart has two of them.
const TICK: Duration = Duration::from_millis(5);

cases!("presence":
    partners_hear_of_coming_and_going [
        PRESENCE_LAST_SEEN_SET, PRESENCE_OFFLINE_LAST_DEVICE, PRESENCE_OFFLINE_NOT_FIRST, PRESENCE_ONLINE_FIRST_DEVICE,
        PRESENCE_ONLINE_NOT_SECOND,
    ],
    who_has_left_is_told_of_soon [PRESENCE_OFFLINE_LAST_DEVICE, PRESENCE_ONLINE_FIRST_DEVICE],
    back_within_the_grace [PRESENCE_GRACE_BACK_IN_TIME, PRESENCE_OFFLINE_LAST_DEVICE, PRESENCE_ONLINE_FIRST_DEVICE],
    a_status_is_told [
        EVENTS_ACK_SUCCESS, PRESENCE_LAST_SEEN_SET, PRESENCE_OFFLINE_LAST_DEVICE, PRESENCE_STATUS_CHANGED,
        PRESENCE_STATUS_RESET, PRESENCE_STATUS_VISIBLE,
    ],
    statuses_are_refused [PRESENCE_STATUS_INVALID],
    presence_events_have_every_field [
        PRESENCE_ONLINE_FIELDS, PRESENCE_ONLINE_OTHERS, PRESENCE_STATUS_FIELDS, PRESENCE_STATUS_UNCHANGED,
    ],
    the_last_status_wins [PRESENCE_STATUS_LAST_WINS],
    an_invisible_user_looks_away [
        PRESENCE_INVISIBLE_LEAVES_SILENTLY, PRESENCE_INVISIBLE_LOOKS_AWAY, PRESENCE_INVISIBLE_STILL_RECEIVES,
        PRESENCE_OFFLINE_LAST_DEVICE, PRESENCE_ONLINE_FIRST_DEVICE, PRESENCE_STATUS_CHANGED,
        USERS_ONLINE_INVISIBLE_ABSENT,
    ],
);

async fn status(viewer: &User, of: &User) -> Result<Value, Stop> {
    Ok(viewer.get(&format!("/api/users/{}/status", of.id)).await?.good()?.body)
}

/// A fence: when this device of bob is told that another partner has gone, what was brought about before has come to it too.
async fn another_comes_and_leaves(w: &World, bob: &User, watcher: &Device) -> Outcome {
    let eve = w.user("eve").await?;
    eve.must_send(&bob.id, "hello").await?;
    eve.device().await?.disconnect().await;
    w.arrives(&req::PRESENCE_OFFLINE_LAST_DEVICE, watcher, "user_offline", |p| {
        p["userId"] == eve.id.as_str()
    })
    .await
    .map(drop)
}

async fn partners_hear_of_coming_and_going(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "hello").await?;
    let (watcher, _beside) = (bob.device().await?, bob.device().await?);
    let a1 = ann.device().await?;
    let online = w
        .arrives(&req::PRESENCE_ONLINE_FIRST_DEVICE, &watcher, "user_online", |p| {
            p["userId"] == ann.id.as_str()
        })
        .await?;
    w.equal(
        &req::PRESENCE_ONLINE_FIRST_DEVICE,
        "username and status",
        json!([ann.username, "online"]),
        json!([online["username"], online["status"]]),
    );
    let here = status(&bob, &ann).await?;
    w.check(
        &req::PRESENCE_LAST_SEEN_SET,
        here["status"] == "online" && here["lastSeen"].is_string(),
        "online with a lastSeen",
        &here,
    );
    let a2 = ann.device().await?;
    a1.disconnect().await;
    another_comes_and_leaves(&w, &bob, &watcher).await?;
    let of_ann =
        |name: &str, p: &Value| matches!(name, "user_online" | "user_offline") && p["userId"] == ann.id.as_str();
    w.absent(
        &req::PRESENCE_ONLINE_NOT_SECOND,
        &watcher,
        &ann,
        "second user_online",
        of_ann,
    )
    .await?;
    w.absent(
        &req::PRESENCE_OFFLINE_NOT_FIRST,
        &watcher,
        &ann,
        "user_offline with the first of two devices",
        of_ann,
    )
    .await?;
    a2.disconnect().await;
    let offline = w
        .arrives(&req::PRESENCE_OFFLINE_LAST_DEVICE, &watcher, "user_offline", |p| {
            p["userId"] == ann.id.as_str()
        })
        .await?;
    w.equal(
        &req::PRESENCE_OFFLINE_LAST_DEVICE,
        "status",
        "offline",
        offline["status"].clone(),
    );
    // Had the first of two devices made one, there would be a second.
    w.absent(
        &req::PRESENCE_OFFLINE_NOT_FIRST,
        &watcher,
        &ann,
        "second user_offline",
        of_ann,
    )
    .await?;
    let gone = status(&bob, &ann).await?;
    w.check(
        &req::PRESENCE_LAST_SEEN_SET,
        gone["status"] == "offline" && gone["lastSeen"].as_str() > here["lastSeen"].as_str(),
        "offline with a later lastSeen",
        &gone,
    );
    Ok(())
}

async fn who_has_left_is_told_of_soon(w: World) -> Outcome {
    let bob = w.user("bob").await?;
    let watcher = bob.device().await?;
    let (w, bob, watcher) = (&w, &bob, &watcher);
    let leaves = || async move {
        let ann = w.user("ann").await?;
        ann.must_send(&bob.id, "hello").await?;
        let of_ann = |p: &Value| p["userId"] == ann.id.as_str();
        let device = ann.device().await?;
        w.arrives(&req::PRESENCE_ONLINE_FIRST_DEVICE, watcher, "user_online", of_ann)
            .await?;
        let left = Instant::now();
        device.disconnect().await;
        let told = watcher.take_timed(GONE_AT_LAST, "user_offline", of_ann).await;
        w.need(
            &req::PRESENCE_OFFLINE_LAST_DEVICE,
            told.is_some(),
            format!("user_offline at {}", watcher.label()),
            watcher.state(),
        )?;
        Ok(told.map_or(Duration::ZERO, |(_, at)| at.saturating_duration_since(left)))
    };
    let first = leaves().await?;
    super::within(w, &req::PRESENCE_OFFLINE_LAST_DEVICE, GRACE, first, leaves).await
}

async fn back_within_the_grace(w: World) -> Outcome {
    // A machine that is too busy decides nothing: it is tried again.
    for _ in 0..4 {
        if back_in_time(&w).await? {
            return Ok(());
        }
    }
    Err(Stop::Inconclusive(
        "no user was back in time: the machine is too busy".into(),
    ))
}

/// Whether the user was back soon enough for a judgement.
async fn back_in_time(w: &World) -> Result<bool, Stop> {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "hello").await?;
    let watcher = bob.device().await?;
    let a1 = ann.device().await?;
    w.arrives(&req::PRESENCE_ONLINE_FIRST_DEVICE, &watcher, "user_online", |p| {
        p["userId"] == ann.id.as_str()
    })
    .await?;
    // All but the last word is said before, so that the way back takes little of the grace.
    let Connection::Open(back) = ann.connect(Transport::Websocket, None).await? else {
        return Err(Stop::Inconclusive("a socket without a token was refused".into()));
    };
    a1.disconnect().await;
    let left = Instant::now();
    back.must_ask("authenticate", json!({"token": ann.access})).await?;
    if left.elapsed() > IN_TIME {
        return Ok(false);
    }
    back.disconnect().await;
    w.arrives(&req::PRESENCE_OFFLINE_LAST_DEVICE, &watcher, "user_offline", |p| {
        p["userId"] == ann.id.as_str()
    })
    .await?;
    w.absent(
        &req::PRESENCE_GRACE_BACK_IN_TIME,
        &watcher,
        &ann,
        "second change",
        |name, p| matches!(name, "user_online" | "user_offline") && p["userId"] == ann.id.as_str(),
    )
    .await?;
    Ok(true)
}

async fn a_status_is_told(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "hello").await?;
    let (watcher, a1, a2) = (bob.device().await?, ann.device().await?, ann.device().await?);
    let mut before = status(&bob, &ann).await?["lastSeen"].clone();
    for chosen in ["busy", "away", "online", "away"] {
        tokio::time::sleep(TICK).await;
        for device in [&watcher, &a1, &a2] {
            // What is told twice is not to be taken for the next change.
            let is_left = |p: &Value| p["userId"] == ann.id.as_str();
            while device
                .take_within(Duration::ZERO, "user_status_changed", is_left)
                .await
                .is_some()
            {}
        }
        let ack = a1.ask("update_status", json!({"status": chosen})).await?;
        w.equal(&req::EVENTS_ACK_SUCCESS, "ok of update_status", true, ack["ok"].clone());
        for device in [&watcher, &a1, &a2] {
            // Others may come too: at the beginning, or of a change that was none.
            w.arrives(&req::PRESENCE_STATUS_CHANGED, device, "user_status_changed", |p| {
                p["userId"] == ann.id.as_str() && p["status"] == chosen
            })
            .await?;
        }
        let shown = super::status_when(&w, &bob, &ann, |shown| shown["status"] == chosen).await?;
        w.equal(&req::PRESENCE_STATUS_VISIBLE, "status", chosen, shown["status"].clone());
        w.check(
            &req::PRESENCE_LAST_SEEN_SET,
            shown["lastSeen"].is_string() && shown["lastSeen"].as_str() > before.as_str(),
            format!("a lastSeen later than {before}"),
            &shown,
        );
        before = shown["lastSeen"].clone();
    }
    let shown = bob.get(&format!("/api/users/{}", ann.id)).await?;
    w.equal(
        &req::PRESENCE_STATUS_VISIBLE,
        "status",
        "away",
        shown.body["user"]["status"].clone(),
    );
    a1.disconnect().await;
    a2.disconnect().await;
    w.arrives(&req::PRESENCE_OFFLINE_LAST_DEVICE, &watcher, "user_offline", |p| {
        p["userId"] == ann.id.as_str()
    })
    .await?;
    let _back = ann.device().await?;
    let shown = super::status_when(&w, &bob, &ann, |shown| shown["status"] == "online").await?;
    w.equal(&req::PRESENCE_STATUS_RESET, "status", "online", shown["status"].clone());
    Ok(())
}

async fn statuses_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let device = ann.device().await?;
    for (bad, code) in [
        (json!("invisible"), "INVALID_STATUS"),
        (json!("ONLINE"), "INVALID_STATUS"),
        (json!(""), "INVALID_STATUS"),
        (json!(1), "VALIDATION_ERROR"),
        (json!(null), "VALIDATION_ERROR"),
    ] {
        w.refused_ack(
            &req::PRESENCE_STATUS_INVALID,
            &device.ask("update_status", json!({"status": bad})).await?,
            code,
        );
    }
    Ok(())
}

async fn an_invisible_user_looks_away(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "hello").await?;
    let (watcher, a1) = (bob.device().await?, ann.device().await?);
    w.arrives(&req::PRESENCE_ONLINE_FIRST_DEVICE, &watcher, "user_online", |p| {
        p["userId"] == ann.id.as_str()
    })
    .await?;
    a1.must_ask("update_status", json!({"status": "offline"})).await?;
    w.arrives(&req::PRESENCE_STATUS_CHANGED, &watcher, "user_status_changed", |p| {
        p["status"] == "offline"
    })
    .await?;
    let hidden = status(&bob, &ann).await?;
    w.equal(
        &req::PRESENCE_INVISIBLE_LOOKS_AWAY,
        "status",
        "offline",
        hidden["status"].clone(),
    );
    for (what, view) in as_others_see(&bob, &ann).await? {
        w.equal(
            &req::PRESENCE_INVISIBLE_LOOKS_AWAY,
            what,
            json!([hidden["status"], hidden["lastSeen"]]),
            json!([view["status"], view["lastSeen"]]),
        );
    }
    w.check(
        &req::USERS_ONLINE_INVISIBLE_ABSENT,
        listed(&bob, &ann.id).await?.is_none(),
        "not ann",
        "ann",
    );
    let ack = a1
        .ask("send_message", json!({"to": bob.id, "content": "from nowhere"}))
        .await?;
    w.equal(&req::PRESENCE_INVISIBLE_STILL_RECEIVES, "ok", true, ack["ok"].clone());
    bob.must_send(&ann.id, "into nowhere").await?;
    w.arrives(&req::PRESENCE_INVISIBLE_STILL_RECEIVES, &a1, "new_message", |p| {
        p["content"] == "into nowhere"
    })
    .await?;
    a1.disconnect().await;
    another_comes_and_leaves(&w, &bob, &watcher).await?;
    w.absent(
        &req::PRESENCE_INVISIBLE_LEAVES_SILENTLY,
        &watcher,
        &ann,
        "user_offline of the invisible",
        |name, p| name == "user_offline" && p["userId"] == ann.id.as_str(),
    )
    .await?;
    w.equal(
        &req::PRESENCE_INVISIBLE_LOOKS_AWAY,
        "status afterwards",
        hidden,
        status(&bob, &ann).await?,
    );
    Ok(())
}

async fn presence_events_have_every_field(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    ann.must_send(&bob.id, "hello").await?;
    let (watcher, stranger) = (bob.device().await?, eve.device().await?);
    let a1 = ann.device().await?;
    let of_ann = |p: &Value| p["userId"] == ann.id.as_str();
    let online = w
        .arrives(&req::PRESENCE_ONLINE_FIELDS, &watcher, "user_online", of_ann)
        .await?;
    let named = |event: &Value, status: &str| event["username"] == ann.username.as_str() && event["status"] == status;
    w.check(
        &req::PRESENCE_ONLINE_FIELDS,
        named(&online, "online"),
        "username and online",
        &online,
    );
    a1.must_ask("update_status", json!({"status": "busy"})).await?;
    let changed = w
        .arrives(&req::PRESENCE_STATUS_FIELDS, &watcher, "user_status_changed", |p| {
            of_ann(p) && p["status"] == "busy"
        })
        .await?;
    w.equal(
        &req::PRESENCE_STATUS_FIELDS,
        "status and lastSeen",
        json!(["busy", status(&bob, &ann).await?["lastSeen"]]),
        json!([changed["status"], changed["lastSeen"]]),
    );
    let again = a1.ask("update_status", json!({"status": "busy"})).await?;
    w.equal(&req::PRESENCE_STATUS_UNCHANGED, "ok", true, again["ok"].clone());
    a1.disconnect().await;
    let offline = w
        .arrives(&req::PRESENCE_ONLINE_FIELDS, &watcher, "user_offline", of_ann)
        .await?;
    w.check(
        &req::PRESENCE_ONLINE_FIELDS,
        named(&offline, "offline"),
        "username and offline",
        &offline,
    );
    // A change that was none may be told, but never as something else.
    w.absent(
        &req::PRESENCE_STATUS_UNCHANGED,
        &watcher,
        &ann,
        "another status",
        |name, p| name == "user_status_changed" && of_ann(p) && p["status"] != "busy",
    )
    .await?;
    // What strangers may hear is the truth.
    w.absent(
        &req::PRESENCE_ONLINE_OTHERS,
        &stranger,
        &bob,
        "wrong presence",
        |name, p| {
            of_ann(p)
                && match name {
                    "user_online" => !named(p, "online"),
                    "user_offline" => !named(p, "offline"),
                    "user_status_changed" => p["status"] != "busy",
                    _ => false,
                }
        },
    )
    .await
}

async fn the_last_status_wins(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, a2) = (ann.device().await?, ann.device().await?);
    for (device, chosen) in [(&a1, "busy"), (&a2, "away"), (&a1, "online"), (&a2, "busy")] {
        device.must_ask("update_status", json!({"status": chosen})).await?;
        let shown = super::status_when(&w, &bob, &ann, |shown| shown["status"] == chosen).await?;
        w.equal(
            &req::PRESENCE_STATUS_LAST_WINS,
            "status",
            chosen,
            shown["status"].clone(),
        );
    }
    Ok(())
}
