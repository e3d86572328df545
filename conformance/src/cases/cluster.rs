//! The promises across nodes: users and their devices at different nodes of one deployment.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_spec::{Profile, req};
use serde_json::{Value, json};

use super::consistency::listed;
use super::{inconclusive, status_when};
use crate::cases;
use crate::engine::{Connection, Device, Outcome, Stop, Transport, User, World};

cases!("cluster":
    messages_cross_nodes for Cluster [CLUSTER_DELIVERY_ACROSS_NODES, MESSAGE_NEW_EXACTLY_ONCE, MESSAGE_NEW_NOBODY_ELSE],
    typing_and_receipts_cross_nodes for Cluster [CLUSTER_TYPING_ACROSS_NODES],
    a_user_is_one_over_all_nodes for Cluster [CLUSTER_PRESENCE_ACROSS_NODES],
    a_status_shows_at_every_node for Cluster [CLUSTER_STATUS_ACROSS_NODES],
    sessions_end_at_every_node for Cluster [CLUSTER_SESSIONS_ACROSS_NODES],
    tokens_are_good_at_every_node for Cluster [
        CLUSTER_TOKENS_EVERY_NODE, REFRESH_RACE_ONE_WINS, REFRESH_REUSE_CODE, REFRESH_REUSE_ENDS_SESSION,
    ],
    both_sides_write_at_different_nodes for Cluster [CLUSTER_ORDER_ACROSS_NODES],
    what_is_acknowledged_is_readable_everywhere for Cluster [CLUSTER_READ_ACROSS_NODES],
    limits_count_over_all_nodes for Cluster [CLUSTER_LIMITS_ACROSS_NODES],
    a_lost_node_loses_nothing_acknowledged for Cluster [CLUSTER_NODE_LOST, MESSAGE_NEW_RECEIVER_DEVICES],
);

/// Two nodes of the target.
fn nodes(w: &World) -> Result<(String, String), Stop> {
    match &w.target.nodes[..] {
        [one, .., other] => Ok((one.clone(), other.clone())),
        _ => Err(Stop::NotApplicable("needs a target of two nodes".into())),
    }
}

/// Ann at the first node, Bob at the last.
async fn two(w: &World) -> Result<(User, User), Stop> {
    let (one, other) = nodes(w)?;
    Ok((w.user_at(&one, "ann").await?, w.user_at(&other, "bob").await?))
}

/// The same user at the other of the two nodes.
fn across(w: &World, user: &User) -> Result<User, Stop> {
    let (one, other) = nodes(w)?;
    Ok(user.at(if user.node() == one { &other } else { &one }))
}

async fn messages_cross_nodes(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    let eve = w.user_at(bob.node(), "eve").await?;
    let (a1, a2) = (ann.device().await?, across(&w, &ann)?.device().await?);
    let (b1, b2, e1) = (
        bob.device().await?,
        across(&w, &bob)?.device().await?,
        eve.device().await?,
    );
    let requirement = &req::CLUSTER_DELIVERY_ACROSS_NODES;
    for number in 0..20 {
        let content = format!("message {number}");
        let id = if number % 2 == 0 {
            a1.ask("send_message", json!({"to": bob.id, "content": content}))
                .await?["messageId"]
                .clone()
        } else {
            ann.must_send(&bob.id, &content).await?["id"].clone()
        };
        for device in [&a2, &b1, &b2] {
            w.arrives(requirement, device, "new_message", |event| event["messageId"] == id)
                .await?;
        }
        if number % 2 == 1 {
            w.arrives(requirement, &a1, "new_message", |event| event["messageId"] == id)
                .await?;
        }
    }
    let message = bob.must_send(&ann.id, "to be changed").await?;
    let path = format!("/api/messages/{}", message["id"].as_str().unwrap_or_default());
    bob.put(&path, &json!({"content": "changed"})).await?.succeeded()?;
    across(&w, &bob)?.delete(&path).await?.succeeded()?;
    let told_of_edits: &[&Device] = if w.target.claims(Profile::Edits) {
        &[&a1, &a2, &b1, &b2]
    } else {
        &[]
    };
    for device in told_of_edits {
        w.arrives(requirement, device, "message_edited", |event| {
            event["message"]["id"] == message["id"]
        })
        .await?;
        w.arrives(requirement, device, "message_deleted", |event| {
            event["messageId"] == message["id"]
        })
        .await?;
    }
    for device in [&a1, &a2, &b1, &b2] {
        let owner = if device.owner() == ann.id { &bob } else { &ann };
        w.absent(
            &req::MESSAGE_NEW_EXACTLY_ONCE,
            device,
            owner,
            "second of an event",
            |name, event| {
                name == "new_message"
                    && event["content"]
                        .as_str()
                        .is_some_and(|content| content.starts_with("message "))
            },
        )
        .await?;
    }
    w.absent(
        &req::MESSAGE_NEW_NOBODY_ELSE,
        &e1,
        &ann,
        "event of others",
        |name, _| name.contains("message"),
    )
    .await
}

async fn typing_and_receipts_cross_nodes(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let a2 = across(&w, &ann)?.device().await?;
    let requirement = &req::CLUSTER_TYPING_ACROSS_NODES;
    for on in [true, false, true] {
        a1.must_ask("typing", json!({"to": bob.id, "isTyping": on})).await?;
        w.arrives(requirement, &b1, "typing_status", |event| event["isTyping"] == on)
            .await?;
    }
    a1.disconnect().await;
    w.arrives(requirement, &b1, "typing_status", |event| event["isTyping"] == false)
        .await?;
    let message = ann.must_send(&bob.id, "to be read").await?;
    b1.must_ask(
        "read_receipt",
        json!({"messageId": message["id"], "chatId": message["chatId"]}),
    )
    .await?;
    w.arrives(requirement, &a2, "message_read", |event| {
        event["messageId"] == message["id"]
    })
    .await?;
    Ok(())
}

async fn a_user_is_one_over_all_nodes(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    ann.must_send(&bob.id, "hello").await?;
    let requirement = &req::CLUSTER_PRESENCE_ACROSS_NODES;
    let (here, there) = (bob.device().await?, across(&w, &bob)?.device().await?);
    let a1 = ann.device().await?;
    let of_ann = |event: &Value| event["userId"] == ann.id.as_str();
    for watcher in [&here, &there] {
        w.arrives(requirement, watcher, "user_online", of_ann).await?;
    }
    let a2 = across(&w, &ann)?.device().await?;
    a1.disconnect().await;
    // The same person came back at the other node within the grace: nobody hears of it.
    for watcher in [&here, &there] {
        w.absent(
            requirement,
            watcher,
            &ann,
            "change while one device stays",
            |name, event| matches!(name, "user_online" | "user_offline") && of_ann(event),
        )
        .await?;
    }
    for viewer in [bob.clone(), across(&w, &bob)?] {
        let shown = viewer.get(&format!("/api/users/{}/status", ann.id)).await?;
        w.equal(requirement, "status", "online", shown.body["status"].clone());
    }
    a2.disconnect().await;
    for watcher in [&here, &there] {
        w.arrives(requirement, watcher, "user_offline", of_ann).await?;
    }
    Ok(())
}

async fn a_status_shows_at_every_node(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    ann.must_send(&bob.id, "hello").await?;
    let requirement = &req::CLUSTER_STATUS_ACROSS_NODES;
    let (watcher, a1, a2) = (
        bob.device().await?,
        ann.device().await?,
        across(&w, &ann)?.device().await?,
    );
    for (device, status) in [
        (&a1, "busy"),
        (&a2, "away"),
        (&a1, "offline"),
        (&a2, "online"),
        (&a1, "busy"),
    ] {
        device.must_ask("update_status", json!({"status": status})).await?;
        for hearer in [&watcher, &a1, &a2] {
            w.arrives(requirement, hearer, "user_status_changed", |event| {
                event["userId"] == ann.id.as_str() && event["status"] == status
            })
            .await?;
        }
        for viewer in [bob.clone(), across(&w, &bob)?] {
            let shown = status_when(&w, &viewer, &ann, |shown| shown["status"] == status).await?;
            w.equal(requirement, "status", status, shown["status"].clone());
            let online = listed(&viewer, &ann.id).await?.is_some();
            w.check(
                requirement,
                online == (status != "offline"),
                format!("listed when {status}, or not"),
                online,
            );
        }
    }
    Ok(())
}

async fn sessions_end_at_every_node(w: World) -> Outcome {
    let (ann, _) = two(&w).await?;
    let requirement = &req::CLUSTER_SESSIONS_ACROSS_NODES;
    for way in ["logout", "password", "reuse"] {
        let session = ann.login().await?;
        let there = across(&w, &session)?;
        let (d1, d2) = (session.device().await?, there.device().await?);
        w.success(requirement, &there.get("/api/auth/profile").await?, 200, None)?;
        match way {
            "logout" => session.request("POST", "/api/auth/logout").send().await?.succeeded()?,
            "password" => {
                let password = crate::engine::PASSWORD;
                let other = ann.login().await?;
                let body = json!({"currentPassword": password, "newPassword": password, "confirmPassword": password});
                other.put("/api/auth/change-password", &body).await?.succeeded()?;
            }
            _ => {
                for user in [&session, &there] {
                    let body = json!({"refreshToken": session.refresh});
                    let _ = user
                        .anonymous("POST", "/api/auth/refresh-token")
                        .json(&body)
                        .send()
                        .await?;
                }
            }
        }
        // At once, at every node.
        for user in [&there, &session] {
            w.refused(requirement, &user.get("/api/auth/profile").await?, 401, "TOKEN_INVALID");
        }
        let refused = matches!(
            there
                .connect(Transport::Websocket, Some(json!({"token": session.access})))
                .await?,
            Connection::Refused(_)
        );
        w.check(requirement, refused, "no further socket", "one");
        for device in [&d1, &d2] {
            w.check(
                requirement,
                device.ended().await,
                format!("the end of a socket after {way}"),
                device.state(),
            );
        }
    }
    Ok(())
}

async fn tokens_are_good_at_every_node(w: World) -> Outcome {
    let (ann, _) = two(&w).await?;
    let there = across(&w, &ann)?;
    let requirement = &req::CLUSTER_TOKENS_EVERY_NODE;
    w.success(
        requirement,
        &there.get("/api/auth/profile").await?,
        200,
        Some("OwnUserResponse"),
    )?;
    drop(there.device().await?);
    let refresh = |user: &User, token: &str| {
        user.anonymous("POST", "/api/auth/refresh-token")
            .json(&json!({"refreshToken": token}))
            .send()
    };
    let first = refresh(&there, &ann.refresh).await?;
    w.success(requirement, &first, 200, Some("TokensResponse"))?;
    let renewed = ann.with_tokens(&first);
    w.success(requirement, &renewed.get("/api/auth/profile").await?, 200, None)?;
    w.refused(
        &req::REFRESH_REUSE_CODE,
        &refresh(&ann, &ann.refresh).await?,
        401,
        "REFRESH_REUSED",
    );
    w.refused(
        &req::REFRESH_REUSE_ENDS_SESSION,
        &across(&w, &renewed)?.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    // Of two at the same time at two nodes, at most one wins.
    let racer = ann.login().await?;
    let racing = across(&w, &racer)?;
    let (one, two) = tokio::join!(refresh(&racer, &racer.refresh), refresh(&racing, &racer.refresh));
    let won = [one?.status, two?.status]
        .into_iter()
        .filter(|status| *status == 200)
        .count();
    w.check(&req::REFRESH_RACE_ONE_WINS, won <= 1, "at most one success", won);
    Ok(())
}

async fn both_sides_write_at_different_nodes(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    let ann_there = across(&w, &ann)?;
    let (a1, a2, b1) = (ann.device().await?, ann_there.device().await?, bob.device().await?);
    let requirement = &req::CLUSTER_ORDER_ACROSS_NODES;
    let recovers = w.target.claims(Profile::Recovery);
    let mut waiting = Vec::new();
    for number in 0..30 {
        let say = |device: &Device, to: &str, what: &str| {
            device.ask_later(
                "send_message",
                json!({"to": to, "content": format!("{what} {number}"), "clientMessageId": format!("{what}-{number}")}),
            )
        };
        waiting.push(say(&a1, &bob.id, "ann"));
        if recovers {
            // The same message at the other node, at the same time.
            waiting.push(say(&a2, &bob.id, "ann"));
        }
        waiting.push(say(&b1, &ann.id, "bob"));
    }
    let mut ids = BTreeSet::new();
    for answer in waiting {
        let ack = a1.answer(answer).await.unwrap_or_default();
        w.equal(requirement, "ok", true, ack["ok"].clone());
        ids.insert(ack["messageId"].to_string());
    }
    w.equal(requirement, "messages", 60, ids.len());
    if !recovers {
        return Ok(());
    }
    for (viewer, other) in [(&ann, &bob), (&ann_there, &bob), (&bob, &ann)] {
        let page = viewer.conversation(other, "?after=0&limit=100").await?;
        let seqs: Vec<u64> = page
            .items()?
            .iter()
            .filter_map(|message| message["seq"].as_u64())
            .collect();
        w.check(
            requirement,
            seqs.iter().copied().eq(1..=60),
            "seq 1 to 60",
            format!("{seqs:?}"),
        );
    }
    Ok(())
}

async fn what_is_acknowledged_is_readable_everywhere(w: World) -> Outcome {
    let (ann, bob) = two(&w).await?;
    let device = ann.device().await?;
    let requirement = &req::CLUSTER_READ_ACROSS_NODES;
    for number in 0..25 {
        let content = format!("number {number}");
        let ack = device
            .ask("send_message", json!({"to": bob.id, "content": content}))
            .await?;
        let page = bob.conversation(&ann, "?limit=1").await?;
        w.equal(
            requirement,
            "the newest message",
            ack["messageId"].clone(),
            page.body["items"][0]["id"].clone(),
        );
        let chats = bob.get("/api/messages/chats").await?;
        w.equal(
            requirement,
            "unreadCount",
            number + 1,
            chats.body["items"][0]["unreadCount"].clone(),
        );
        w.equal(
            requirement,
            "lastMessage",
            ack["messageId"].clone(),
            chats.body["items"][0]["lastMessage"]["id"].clone(),
        );
    }
    let found = bob.get("/api/messages/search?q=number%2024").await?;
    w.equal(requirement, "found", 1, found.items()?.len());
    Ok(())
}

async fn limits_count_over_all_nodes(w: World) -> Outcome {
    const QUOTA: u32 = 40;
    let settings = [("--rate-limit-max-requests", "40")];
    let nodes = w.launcher()?.launch_nodes(2, &settings).await.map_err(inconclusive)?;
    let ann = w.user_at(&nodes[0].base, "ann").await?;
    let there = ann.at(&nodes[1].base);
    let mut passed = 0;
    for number in 0..QUOTA * 3 {
        let user = if number % 2 == 0 { &ann } else { &there };
        passed += u32::from(user.get("/api/auth/profile").await?.status == 200);
    }
    // Nodes may learn late of each other's requests, but not of half of them.
    let requirement = &req::CLUSTER_LIMITS_ACROSS_NODES;
    let good = (QUOTA..=QUOTA * 3 / 2).contains(&passed);
    w.check(requirement, good, format!("about {QUOTA} of {}", QUOTA * 3), passed);
    for user in [&ann, &there] {
        w.refused(requirement, &user.get("/api/auth/profile").await?, 429, "RATE_LIMITED");
    }
    Ok(())
}

async fn a_lost_node_loses_nothing_acknowledged(w: World) -> Outcome {
    let nodes = w.launcher()?.launch_nodes(2, &[]).await.map_err(inconclusive)?;
    let ann = w.user_at(&nodes[0].base, "ann").await?;
    let bob = w.user_at(&nodes[1].base, "bob").await?;
    let requirement = &req::CLUSTER_NODE_LOST;
    let (lost, watcher) = (ann.device().await?, bob.device().await?);
    let waiting: Vec<_> = (0..60)
        .map(|number| lost.ask_later("send_message", json!({"to": bob.id, "content": format!("{number}")})))
        .collect();
    let mut acknowledged = Vec::new();
    for (number, answer) in waiting.into_iter().enumerate() {
        if number == 40 {
            nodes[0].kill().await.map_err(inconclusive)?;
        }
        if let Ok(ack) = answer.await {
            acknowledged.extend(ack["messageId"].as_str().map(str::to_owned));
        }
    }
    let page = bob.conversation(&ann, "?limit=100").await?;
    let stored = page.items()?;
    let missing = acknowledged
        .iter()
        .filter(|id| !stored.iter().any(|message| message["id"] == id.as_str()))
        .count();
    w.check(
        requirement,
        missing == 0,
        format!("all {} that were acknowledged", acknowledged.len()),
        format!("{missing} missing"),
    );
    let of_ann = |event: &Value| event["userId"] == ann.id.as_str();
    let gone = watcher
        .take_within(Duration::from_secs(20), "user_offline", of_ann)
        .await;
    w.check(requirement, gone.is_some(), "user_offline within 15 s", watcher.names());
    let shown = bob.get(&format!("/api/users/{}/status", ann.id)).await?;
    w.equal(requirement, "status", "offline", shown.body["status"].clone());
    // Whoever was there goes on at the other node.
    let ann = ann.at(&nodes[1].base);
    let back = ann.device().await?;
    w.arrives(requirement, &watcher, "user_online", of_ann).await?;
    let ack = back
        .ask("send_message", json!({"to": bob.id, "content": "back again"}))
        .await?;
    w.equal(requirement, "ok", true, ack["ok"].clone());
    w.arrives(&req::MESSAGE_NEW_RECEIVER_DEVICES, &watcher, "new_message", |event| {
        event["content"] == "back again"
    })
    .await?;
    Ok(())
}
