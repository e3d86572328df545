//! When the server cannot answer: its disk is full, or too much is asked at once.

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, Stop, World};

cases!("unavailable":
    a_full_disk_is_told [
        ERRORS_SERVER_LOGGED, ERRORS_SERVER_NO_INTERNALS, ERRORS_UNAVAILABLE_ACK, ERRORS_UNAVAILABLE_RETRY_AFTER,
        ERRORS_UNAVAILABLE_RETRY_SAFE,
    ],
    a_flood_of_events_is_answered [ERRORS_UNAVAILABLE_ACK],
);

/// Sends that fill the disk of this case at the latest.
const MOST: usize = 400;

async fn a_full_disk_is_told(w: World) -> Outcome {
    let settings = [("--log-level", "info")];
    let launched = w.launcher()?.launch_on_small_disk(512, &settings).await;
    let server = launched.map_err(super::inconclusive)?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let device = ann.device().await?;
    let long = "\u{1f600}".repeat(4096);
    let (mut sent, mut newest) = (0, Value::Null);
    let ack = loop {
        let ack = device
            .ask("send_message", json!({"to": bob.id, "content": long}))
            .await?;
        if ack["ok"] != true {
            break ack;
        }
        newest = ack["messageId"].clone();
        sent += 1;
        if sent == MOST {
            return Err(Stop::Inconclusive("the disk never got full".into()));
        }
    };
    w.refused_ack(&req::ERRORS_UNAVAILABLE_ACK, &ack, "SERVICE_UNAVAILABLE");
    w.check(
        &req::ERRORS_UNAVAILABLE_ACK,
        ack["error"]["retryAfter"].is_u64(),
        "retryAfter",
        &ack,
    );
    let refused = ann.send(&bob.id, &long).await?;
    w.refused(
        &req::ERRORS_UNAVAILABLE_RETRY_AFTER,
        &refused,
        503,
        "SERVICE_UNAVAILABLE",
    );
    let history = bob.conversation(&ann, "?limit=1").await?;
    w.equal(
        &req::ERRORS_UNAVAILABLE_RETRY_SAFE,
        "the newest message",
        newest,
        history.body["items"][0]["id"].clone(),
    );
    for error in [&refused.body, &ack["error"]] {
        let id = error["requestId"].as_str().unwrap_or("(no requestId)");
        let line = server.logged(|line| line.contains(id)).await;
        w.check(
            &req::ERRORS_SERVER_LOGGED,
            line.as_ref().is_some_and(|line| line.contains("cause")),
            format!("a line with {id} and the cause"),
            line.unwrap_or_else(|| "none".into()),
        );
    }
    Ok(())
}

async fn a_flood_of_events_is_answered(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let chat = ann.must_send(&bob.id, "hello").await?["chatId"].clone();
    let device = ann.device().await?;
    let asked: Vec<_> = (0..2500)
        .map(|_| device.ask_later("join_chat", json!({"chatId": chat})))
        .collect();
    let (mut silent, mut wrong) = (0, None);
    for answer in asked {
        match device.answer(answer).await {
            None => silent += 1,
            Some(ack) if ack["ok"] == true => {}
            Some(ack) => {
                let error = &ack["error"];
                let known = error["code"] == "SERVICE_UNAVAILABLE" || error["code"] == "RATE_LIMITED";
                if !known || !error["retryAfter"].is_u64() {
                    wrong = Some(ack);
                }
            }
        }
        if silent > 0 {
            break;
        }
    }
    w.check(
        &req::ERRORS_UNAVAILABLE_ACK,
        silent == 0,
        "an answer to every event",
        device.state(),
    );
    w.check(
        &req::ERRORS_UNAVAILABLE_ACK,
        wrong.is_none(),
        "ok, or SERVICE_UNAVAILABLE with retryAfter",
        wrong.unwrap_or_default(),
    );
    Ok(())
}
