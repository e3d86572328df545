//! Typing.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, Stop, World};

/// When somebody who types says so again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Said again by then, it was heard by every node before what was said first was over.
const FIRST_HOLDS: Duration = Duration::from_secs(4);
/// So long at least it lasts from the moment that it is said: 6 s, less what clocks are apart.
const LASTS: Duration = Duration::from_millis(5500);
/// And no longer than this.
const OVER_AFTER: Duration = Duration::from_secs(6);
/// What is not over by then never is.
const OVER_AT_LAST: Duration = Duration::from_secs(14);

cases!("typing":
    typing_times_out [TYPING_EVENT_PEER_DEVICES, TYPING_STOP_TIME_OUT],
    typing_goes_to_the_peer [EVENTS_ACK_SUCCESS, TYPING_EVENT_NOBODY_ELSE, TYPING_EVENT_PEER_DEVICES],
    typing_ends_with_the_device [TYPING_EVENT_PEER_DEVICES, TYPING_STOP_ON_DISCONNECT],
    typing_is_refused [TYPING_OFFLINE_NOTHING, TYPING_TO_SELF, TYPING_TO_UNKNOWN],
);

async fn typing_goes_to_the_peer(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let (a1, a2, b1, b2, e1) = (
        ann.device().await?,
        ann.device().await?,
        bob.device().await?,
        bob.device().await?,
        eve.device().await?,
    );
    for is_typing in [true, false] {
        let ack = a1.ask("typing", json!({"to": bob.id, "isTyping": is_typing})).await?;
        w.equal(&req::EVENTS_ACK_SUCCESS, "ok of typing", true, ack["ok"].clone());
        for device in [&b1, &b2] {
            let event = w
                .arrives(&req::TYPING_EVENT_PEER_DEVICES, device, "typing_status", |p| {
                    p["isTyping"] == is_typing
                })
                .await?;
            w.equal(
                &req::TYPING_EVENT_PEER_DEVICES,
                "from",
                ann.id.clone(),
                event["from"].clone(),
            );
        }
    }
    a1.emit("typing", json!({"to": bob.id, "isTyping": true}));
    w.arrives(&req::TYPING_EVENT_PEER_DEVICES, &b1, "typing_status", |p| {
        p["isTyping"] == true
    })
    .await?;
    w.absent(&req::TYPING_EVENT_NOBODY_ELSE, &a2, &bob, "typing_status", |name, _| {
        name == "typing_status"
    })
    .await?;
    w.absent(&req::TYPING_EVENT_NOBODY_ELSE, &e1, &bob, "typing_status", |name, _| {
        name == "typing_status"
    })
    .await
}

async fn typing_ends_with_the_device(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    a1.must_ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    w.arrives(&req::TYPING_EVENT_PEER_DEVICES, &b1, "typing_status", |p| {
        p["isTyping"] == true
    })
    .await?;
    a1.disconnect().await;
    w.arrives(&req::TYPING_STOP_ON_DISCONNECT, &b1, "typing_status", |p| {
        p["isTyping"] == false
    })
    .await?;
    Ok(())
}

async fn typing_times_out(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (a1, b1) = (&ann.device().await?, &bob.device().await?);
    let w = &w;
    let (typing, stops) = (json!({"to": bob.id, "isTyping": true}), |p: &Value| {
        p["isTyping"] == false
    });
    let too_slow = || Stop::TooSlow("typing was not said again before it was over".into());
    let first = Instant::now();
    a1.must_ask("typing", typing.clone()).await?;
    w.arrives(&req::TYPING_EVENT_PEER_DEVICES, b1, "typing_status", |p| {
        p["isTyping"] == true
    })
    .await?;
    let early = b1
        .take_within(AGAIN_AFTER.saturating_sub(first.elapsed()), "typing_status", stops)
        .await;
    if first.elapsed() > FIRST_HOLDS {
        return Err(too_slow());
    }
    w.need(
        &req::TYPING_STOP_TIME_OUT,
        early.is_none(),
        "isTyping false after 6 s",
        format!("after {} ms", first.elapsed().as_millis()),
    )?;
    // Whatever takes time on the way makes the end come later, never sooner.
    let again = Instant::now();
    a1.must_ask("typing", typing.clone()).await?;
    if first.elapsed() > FIRST_HOLDS {
        return Err(too_slow());
    }
    let stopped = |since: Instant| async move {
        let stopped = b1.take_timed(OVER_AT_LAST, "typing_status", stops).await;
        let after = stopped.map(|(_, at)| at.saturating_duration_since(since));
        w.check(
            &req::TYPING_STOP_TIME_OUT,
            after.is_some_and(|after| after >= LASTS),
            "isTyping false 6 s after isTyping true was said last",
            match after {
                Some(after) => format!("after {} ms", after.as_millis()),
                None => b1.state(),
            },
        );
        // Where it never came, that has been said.
        after.unwrap_or_default()
    };
    let took = stopped(again).await;
    super::within(w, &req::TYPING_STOP_TIME_OUT, OVER_AFTER, took, || async {
        let since = Instant::now();
        a1.must_ask("typing", typing.clone()).await?;
        Ok(stopped(since).await)
    })
    .await
}

async fn typing_is_refused(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let device = ann.device().await?;
    w.refused_ack(
        &req::TYPING_TO_UNKNOWN,
        &device
            .ask("typing", json!({"to": "ffffffffffffffffffffffff", "isTyping": true}))
            .await?,
        "USER_NOT_FOUND",
    );
    w.refused_ack(
        &req::TYPING_TO_SELF,
        &device.ask("typing", json!({"to": ann.id, "isTyping": true})).await?,
        "CANNOT_MESSAGE_SELF",
    );
    let ack = device.ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    w.equal(&req::TYPING_OFFLINE_NOTHING, "ok", true, ack["ok"].clone());
    device
        .must_ask("typing", json!({"to": bob.id, "isTyping": false}))
        .await?;
    // When what is sent now has come to Bob's node, it has heard of the typing too.
    let eve = w.user_at(bob.node(), "eve").await?;
    let witness = eve.device().await?;
    device
        .must_ask("send_message", json!({"to": eve.id, "content": "after the typing"}))
        .await?;
    witness
        .must_take("new_message", |p| p["content"] == "after the typing")
        .await?;
    let late = bob.device().await?;
    w.absent(
        &req::TYPING_OFFLINE_NOTHING,
        &late,
        &ann,
        "typing_status from before",
        |name, _| name == "typing_status",
    )
    .await
}
