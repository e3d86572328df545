//! What was acknowledged survives: the server is killed without warning, under load, and started again on the same data.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chat_spec::{Profile, req};
use serde_json::{Value, json};

use super::inconclusive;
use crate::cases;
use crate::engine::{Outcome, PASSWORD, Stop, User, World};

cases!("durability":
    every_change_survives_a_crash [
        LOGOUT_TOKENS_DIE, PASSWORD_CHANGE_NEW_WORKS, PASSWORD_CHANGE_OLDER_TOKENS, PROMISES_DURABLE_CRASH,
        REFRESH_REUSE_CODE, SEND_IDEMPOTENT_REPEAT_SAME_ANSWER, USERS_ONLINE_AWAY_ABSENT,
    ],
    nothing_acknowledged_is_lost_under_load for Recovery [
        ERRORS_UNAVAILABLE_RETRY_SAFE, PROMISES_DURABLE_CRASH, PROMISES_SEQ_GAPLESS, SEND_IDEMPOTENT_NO_SECOND,
        SEND_IDEMPOTENT_REPEAT_SAME_ACK,
    ],
);

/// The grace, with room for a busy machine.
const AWAY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn everything(viewer: &User, peer: &User) -> Result<Value, Stop> {
    let history = viewer.conversation(peer, "?limit=100").await?;
    let chats = viewer.get("/api/messages/chats").await?;
    let chat = &chats.body["items"][0];
    let profile = viewer.get("/api/auth/profile").await?;
    let user = &profile.body["user"];
    Ok(json!({
        "history": history.body["items"], "unreadCount": chat["unreadCount"], "lastMessage": chat["lastMessage"],
        "user": [user["id"], user["username"], user["bio"], user["email"], user["createdAt"]],
    }))
}

async fn every_change_survives_a_crash(w: World) -> Outcome {
    let server = super::mortal(&w).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let mut messages = Vec::new();
    for number in 0..6 {
        messages.push(ann.must_send(&bob.id, &format!("message {number}")).await?);
    }
    let id = |number: usize| messages[number]["id"].as_str().unwrap_or_default().to_owned();
    let once = json!({"to": bob.id, "content": "once", "clientMessageId": "c-1"});
    let first = ann.post("/api/messages/send", &once).await?;
    bob.post("/api/messages/mark-read", &json!({"messageIds": [id(0), id(1)]}))
        .await?
        .succeeded()?;
    ann.put(&format!("/api/messages/{}", id(2)), &json!({"content": "edited"}))
        .await?
        .succeeded()?;
    ann.delete(&format!("/api/messages/{}", id(3))).await?.succeeded()?;
    ann.put("/api/auth/profile", &json!({"bio": "of ann"}))
        .await?
        .succeeded()?;
    let device = bob.device().await?;
    device
        .ask(
            "read_receipt",
            json!({"messageId": id(4), "chatId": messages[4]["chatId"]}),
        )
        .await?;
    let (gone, rotated) = (ann.login().await?, ann.login().await?);
    let refreshed = rotated
        .anonymous("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": rotated.refresh}))
        .send()
        .await?;
    gone.request("POST", "/api/auth/logout").send().await?.succeeded()?;
    let eve = w.user_at(&server.base, "eve").await?;
    let change =
        json!({"currentPassword": PASSWORD, "newPassword": "another password", "confirmPassword": "another password"});
    eve.put("/api/auth/change-password", &change).await?.succeeded()?;
    let before = [everything(&ann, &bob).await?, everything(&bob, &ann).await?];

    let server = server.crash_and_restart().await.map_err(inconclusive)?;
    let requirement = &req::PROMISES_DURABLE_CRASH;
    let (ann, bob, gone, eve) = (
        ann.at(&server.base),
        bob.at(&server.base),
        gone.at(&server.base),
        eve.at(&server.base),
    );
    let after = [everything(&ann, &bob).await?, everything(&bob, &ann).await?];
    for (before, after) in before.into_iter().zip(after) {
        for part in ["history", "unreadCount", "lastMessage", "user"] {
            w.equal(requirement, part, before[part].clone(), after[part].clone());
        }
    }
    if w.target.claims(Profile::Recovery) {
        super::send::repeated(&w, &first, &ann.post("/api/messages/send", &once).await?)?;
    }
    w.refused(
        &req::LOGOUT_TOKENS_DIE,
        &gone.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    let refresh = |token: &str| {
        ann.anonymous("POST", "/api/auth/refresh-token")
            .json(&json!({"refreshToken": token}))
            .send()
    };
    let newest = refreshed.text_at("/tokens/refreshToken");
    w.success(requirement, &refresh(newest).await?, 200, Some("TokensResponse"))?;
    w.refused(
        &req::REFRESH_REUSE_CODE,
        &refresh(&rotated.refresh).await?,
        401,
        "REFRESH_REUSED",
    );
    w.refused(
        &req::PASSWORD_CHANGE_OLDER_TOKENS,
        &eve.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    let login = |password: &str| {
        let body = json!({"identifier": eve.username, "password": password});
        eve.anonymous("POST", "/api/auth/login").json(&body).send()
    };
    w.success(
        &req::PASSWORD_CHANGE_NEW_WORKS,
        &login("another password").await?,
        200,
        Some("SessionResponse"),
    )?;
    w.refused(
        &req::PASSWORD_CHANGE_NEW_WORKS,
        &login(PASSWORD).await?,
        401,
        "INVALID_CREDENTIALS",
    );
    // Nobody is connected any more, which a server whose presence outlives it notices within the grace.
    let began = Instant::now();
    let status = loop {
        let answer = ann.get(&format!("/api/users/{}/status", bob.id)).await?;
        answer.succeeded()?;
        let status = answer.body["status"].clone();
        if status == "offline" || began.elapsed() > AWAY_WITHIN {
            break status;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    w.equal(&req::USERS_ONLINE_AWAY_ABSENT, "status", "offline", status);
    Ok(())
}

async fn nothing_acknowledged_is_lost_under_load(w: World) -> Outcome {
    const SENDERS: usize = 3;
    const EACH: usize = 80;
    let mut server = super::mortal(&w).await?;
    let mut bob = w.user_at(&server.base, "bob").await?;
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        senders.push(w.user_at(&server.base, "ann").await?);
    }
    let mut acknowledged: Vec<BTreeMap<String, (String, u64)>> = vec![BTreeMap::new(); SENDERS];
    for round in 0..2 {
        let mut waiting = Vec::new();
        let mut devices = Vec::new();
        for (number, sender) in senders.iter().enumerate() {
            let device = sender.device().await?;
            for count in 0..EACH {
                let id = format!("c-{round}-{count}");
                let payload = json!({"to": bob.id, "content": id, "clientMessageId": id});
                waiting.push((number, id, device.ask_later("send_message", payload)));
            }
            devices.push(device);
        }
        // Killed when a third has been acknowledged and the rest is on its way.
        let mut heard = 0;
        let mut rest = Vec::new();
        for (number, id, answer) in waiting {
            if heard >= SENDERS * EACH / 3 {
                rest.push((number, id, answer));
                continue;
            }
            if let Ok(ack) = answer.await {
                note(&mut acknowledged[number], id, &ack);
            }
            heard += 1;
        }
        server = server.crash_and_restart().await.map_err(inconclusive)?;
        for (number, id, answer) in rest {
            if let Ok(ack) = answer.await {
                note(&mut acknowledged[number], id, &ack);
            }
        }
        bob = bob.at(&server.base);
        senders = senders.iter().map(|sender| sender.at(&server.base)).collect();
        for (number, sender) in senders.iter().enumerate() {
            let stored = all(&bob, sender).await?;
            let seqs: Vec<u64> = stored.iter().filter_map(|message| message["seq"].as_u64()).collect();
            let gapless = seqs.iter().copied().eq(1..=seqs.len() as u64);
            w.check(&req::PROMISES_SEQ_GAPLESS, gapless, "1, 2, 3 …", format!("{seqs:?}"));
            let lost = acknowledged[number].iter().find(|(content, (id, seq))| {
                !stored.iter().any(|message| {
                    message["id"] == id.as_str() && message["seq"] == *seq && message["content"] == content.as_str()
                })
            });
            let got = lost.map(|(content, _)| format!("{content} lost")).unwrap_or_default();
            w.check(
                &req::PROMISES_DURABLE_CRASH,
                lost.is_none(),
                format!("all of {}", acknowledged[number].len()),
                got,
            );
            retried(&w, sender, &bob, round, EACH, &acknowledged[number]).await?;
        }
    }
    Ok(())
}

fn note(acknowledged: &mut BTreeMap<String, (String, u64)>, content: String, ack: &Value) {
    if let (Some(id), Some(seq)) = (ack["messageId"].as_str(), ack["seq"].as_u64()) {
        acknowledged.insert(content, (id.to_owned(), seq));
    }
}

/// Everything is sent again under its own id: afterwards each is there once, and what was acknowledged is what it was.
async fn retried(
    w: &World,
    sender: &User,
    bob: &User,
    round: usize,
    each: usize,
    acknowledged: &BTreeMap<String, (String, u64)>,
) -> Outcome {
    let device = sender.device().await?;
    let waiting: Vec<_> = (0..each)
        .map(|count| {
            let id = format!("c-{round}-{count}");
            let payload = json!({"to": bob.id, "content": id, "clientMessageId": id});
            (id, device.ask_later("send_message", payload))
        })
        .collect();
    for (content, answer) in waiting {
        let ack = device.answer(answer).await.unwrap_or_default();
        if let Some((id, seq)) = acknowledged.get(&content) {
            w.equal(
                &req::SEND_IDEMPOTENT_REPEAT_SAME_ACK,
                "id and seq",
                json!([id, seq]),
                json!([ack["messageId"], ack["seq"]]),
            );
        }
        w.equal(&req::ERRORS_UNAVAILABLE_RETRY_SAFE, "ok", true, ack["ok"].clone());
    }
    let stored = all(bob, sender).await?;
    let prefix = format!("c-{round}-");
    let mut contents: Vec<&str> = stored
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    contents.retain(|content| content.starts_with(&prefix));
    contents.sort_unstable();
    let before = contents.len();
    contents.dedup();
    let good = before == each && contents.len() == each;
    w.check(
        &req::SEND_IDEMPOTENT_NO_SECOND,
        good,
        format!("{each} messages, each once"),
        format!("{before}, {} of them different", contents.len()),
    );
    Ok(())
}

async fn all(one: &User, other: &User) -> Result<Vec<Value>, Stop> {
    let mut items: Vec<Value> = Vec::new();
    loop {
        let after = items.last().and_then(|message| message["seq"].as_u64()).unwrap_or(0);
        let page = one.conversation(other, &format!("?after={after}&limit=100")).await?;
        if page.items()?.is_empty() {
            return Ok(items);
        }
        items.extend_from_slice(page.items()?);
    }
}
