//! Packets of Engine.IO in both transports.

use chat_spec::req;
use serde_json::json;

use super::wire::{Polling, SEPARATOR, Wire};
use crate::cases;
use crate::engine::{Outcome, World};

cases!("transport packets":
    one_post_carries_several_packets for Transport [TRANSPORT_POLLING_POST_OK, TRANSPORT_POLLING_SEVERAL],
    binary_travels_as_base64 for Transport [TRANSPORT_POLLING_BINARY],
    posts_that_are_no_packets for Transport [TRANSPORT_FRAME_MALFORMED, TRANSPORT_POLLING_MALFORMED],
    frames_that_are_no_packets for Transport [TRANSPORT_FRAME_MALFORMED],
    one_poll_at_a_time for Transport [TRANSPORT_POLLING_SECOND_POLL],
    posts_beside_a_poll_lose_nothing for Transport [TRANSPORT_POLLING_POST_OK, TRANSPORT_POLLING_SEVERAL],
    a_post_that_is_too_large for Transport [TRANSPORT_POLLING_TOO_LARGE],
    a_close_packet_ends_the_session for Transport [TRANSPORT_CLOSE_BY_CLIENT, TRANSPORT_CLOSE_OF_WEBSOCKET],
);

/// How often two polls are tried that are to meet.
const SECOND_POLLS: usize = 3;

async fn one_post_carries_several_packets(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let mut polling = Polling::of(&w, &ann).await?;
    let send = |id: u32| {
        format!(
            "42{id}{}",
            json!(["send_message", {"to": bob.id, "content": format!("{id}")}])
        )
    };
    let packets: Vec<String> = (0..5).map(send).collect();
    let (status, _) = polling.post(&packets.join(SEPARATOR)).await;
    w.check(&req::TRANSPORT_POLLING_POST_OK, status == 200, 200, status);
    let mut ids = Vec::new();
    while ids.len() < 5 {
        let Some(packet) = polling.message().await else { break };
        if let Some(ack) = packet.strip_prefix("43") {
            ids.push(ack.split('[').next().unwrap_or_default().to_owned());
        }
    }
    let requirement = &req::TRANSPORT_POLLING_SEVERAL;
    w.check(
        requirement,
        ids == ["0", "1", "2", "3", "4"],
        "acks 0 to 4 in order",
        format!("{ids:?}"),
    );
    let history = bob.conversation(&ann, "").await?;
    let contents: Vec<&str> = history
        .items()?
        .iter()
        .rev()
        .filter_map(|message| message["content"].as_str())
        .collect();
    w.check(
        requirement,
        contents == ["0", "1", "2", "3", "4"],
        "messages 0 to 4 in order",
        format!("{contents:?}"),
    );
    Ok(())
}

async fn binary_travels_as_base64(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut polling = Polling::of(&w, &ann).await?;
    let event = r#"451-7["typing",{"to":{"_placeholder":true,"num":0}}]"#;
    let (status, _) = polling.post(&[event, "bAQIDBA=="].join(SEPARATOR)).await;
    w.check(&req::TRANSPORT_POLLING_BINARY, status == 200, 200, status);
    let ack = polling.answer().await.unwrap_or_default();
    let good = ack.starts_with("437[") && ack.contains("VALIDATION_ERROR");
    w.check(
        &req::TRANSPORT_POLLING_BINARY,
        good,
        "an ack 7 of VALIDATION_ERROR",
        ack,
    );
    Ok(())
}

async fn posts_that_are_no_packets(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut bystander = Wire::of(&w, &ann).await?;
    for body in ["abc", "9"] {
        let polling = Polling::open(&w).await?;
        // The official server has taken it by the time it finds out.
        let (status, _) = polling.post(body).await;
        w.check(
            &req::TRANSPORT_POLLING_MALFORMED,
            [200, 400].contains(&status),
            format!("200 or 400 for {body:?}"),
            status,
        );
        let (status, _) = polling.post("3").await;
        w.check(
            &req::TRANSPORT_POLLING_MALFORMED,
            status == 400,
            "a session that is over",
            status,
        );
    }
    bystander.goes_on(&w, &req::TRANSPORT_FRAME_MALFORMED).await;
    Ok(())
}

async fn frames_that_are_no_packets(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut bystander = Wire::of(&w, &ann).await?;
    for frame in ["abc", "9", "x", "\u{e9}"] {
        let (mut wire, _) = Wire::open(&w).await?;
        wire.send(frame).await;
        w.check(
            &req::TRANSPORT_FRAME_MALFORMED,
            wire.closed().await,
            format!("an end after {frame:?}"),
            "none",
        );
    }
    bystander.goes_on(&w, &req::TRANSPORT_FRAME_MALFORMED).await;
    Ok(())
}

async fn one_poll_at_a_time(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let requirement = &req::TRANSPORT_POLLING_SECOND_POLL;
    let mut polling = Polling::of(&w, &ann).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        let (first, second) = tokio::join!(polling.get(), polling.get());
        let statuses = [first.0, second.0];
        // One of them was answered by something that waited, such as a PING, before the other came, which then waited alone.
        if statuses.contains(&200) && statuses.contains(&0) && tries < SECOND_POLLS {
            polling = Polling::of(&w, &ann).await?;
            continue;
        }
        w.check(
            requirement,
            statuses.contains(&400),
            "one of the two refused",
            format!("{} and {}", first.0, second.0),
        );
        break;
    }
    let (status, _) = polling.get().await;
    w.check(requirement, status == 400, "a session that is over", status);
    Ok(())
}

async fn posts_beside_a_poll_lose_nothing(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut polling = Polling::of(&w, &ann).await?;
    let (http, base, sid) = (w.target.http.clone(), w.target.base.clone(), polling.sid.clone());
    let url = format!("{base}/socket.io/?EIO=4&transport=polling&sid={sid}");
    let posts = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for id in 0..30 {
            let post = http
                .post(&url)
                .body(format!(r#"42{id}["no_such_event",{{}}]"#))
                .send()
                .await;
            statuses.push(post.map_or(0, |answer| answer.status().as_u16()));
        }
        statuses
    });
    let mut ids = Vec::new();
    while ids.len() < 30 {
        let Some(packet) = polling.message().await else { break };
        let id = packet
            .strip_prefix("43")
            .and_then(|ack| ack.split('[').next()?.parse::<u32>().ok());
        ids.extend(id);
    }
    let statuses = posts.await.unwrap_or_default();
    w.check(
        &req::TRANSPORT_POLLING_POST_OK,
        statuses.iter().all(|status| *status == 200),
        "30 times 200",
        format!("{statuses:?}"),
    );
    let all: Vec<u32> = (0..30).collect();
    w.check(
        &req::TRANSPORT_POLLING_SEVERAL,
        ids == all,
        "acks 0 to 29 in order",
        format!("{ids:?}"),
    );
    Ok(())
}

async fn a_post_that_is_too_large(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut bystander = Wire::of(&w, &ann).await?;
    let polling = Polling::open(&w).await?;
    let most = polling.open["maxPayload"].as_u64().unwrap_or(1_000_000).min(8_000_000) as usize;
    let (status, _) = polling.post(&format!("4{}", "x".repeat(most + 1))).await;
    // A server may also end the connection while the body is still on its way.
    let refused = status == 0 || (400..500).contains(&status);
    w.check(&req::TRANSPORT_POLLING_TOO_LARGE, refused, "a refusal", status);
    bystander.goes_on(&w, &req::TRANSPORT_POLLING_TOO_LARGE).await;
    Ok(())
}

async fn a_close_packet_ends_the_session(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let requirement = &req::TRANSPORT_CLOSE_BY_CLIENT;
    let mut wire = Wire::of(&w, &ann).await?;
    wire.send("1").await;
    w.check(
        &req::TRANSPORT_CLOSE_OF_WEBSOCKET,
        wire.closed().await,
        "the end of the WebSocket",
        "none",
    );
    let polling = Polling::of(&w, &ann).await?;
    // The waiting poll is let go, with whatever.
    let (poll, post) = tokio::join!(polling.get(), polling.post("1"));
    w.check(
        requirement,
        post.0 == 200 && poll.0 != 0,
        "both answered",
        format!("{} and {}", post.0, poll.0),
    );
    let (status, _) = polling.post("3").await;
    w.check(requirement, status == 400, "a session that is over", status);
    Ok(())
}
