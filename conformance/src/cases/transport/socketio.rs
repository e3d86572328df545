//! Packets of Socket.IO.

use chat_spec::req;
use serde_json::{Value, json};

use super::wire::Wire;
use crate::cases;
use crate::engine::{Outcome, World};

cases!("transport socket.io":
    connect_is_answered for Transport [TRANSPORT_CONNECT_SID],
    other_namespaces_are_refused for Transport [TRANSPORT_CONNECT_UNKNOWN_NAMESPACE],
    a_packet_before_connect for Transport [TRANSPORT_CONNECT_FIRST],
    leaving_the_namespace for Transport [TRANSPORT_DISCONNECT_NAMESPACE],
    acks_carry_the_id_of_their_event for Transport [TRANSPORT_ACK_ID],
    answers_to_nothing for Transport [TRANSPORT_ACK_UNASKED],
    binary_events_wait_for_their_attachments for Transport [TRANSPORT_BINARY_EVENT],
    packets_that_cannot_be_parsed for Transport [TRANSPORT_PACKET_MALFORMED],
);

async fn connect_is_answered(w: World) -> Outcome {
    for connect in ["40", "40{}", "40/,", "40/,{}"] {
        let (mut wire, _) = Wire::open(&w).await?;
        wire.send(connect).await;
        let answer = wire.message().await.unwrap_or_default();
        let data: Value = answer
            .strip_prefix("40")
            .and_then(|data| serde_json::from_str(data.trim_start_matches("/,")).ok())
            .unwrap_or_default();
        let has_sid = data["sid"].as_str().is_some_and(|sid| !sid.is_empty());
        w.check(
            &req::TRANSPORT_CONNECT_SID,
            has_sid,
            format!("a sid for {connect}"),
            answer,
        );
    }
    Ok(())
}

async fn other_namespaces_are_refused(w: World) -> Outcome {
    let (mut wire, _) = Wire::open(&w).await?;
    let requirement = &req::TRANSPORT_CONNECT_UNKNOWN_NAMESPACE;
    for namespace in ["/random", "/admin", "/a/b"] {
        wire.send(&format!("40{namespace},{{}}")).await;
        let answer = wire.message().await.unwrap_or_default();
        w.check(
            requirement,
            answer.starts_with(&format!("44{namespace},")),
            format!("44{namespace},…"),
            answer,
        );
    }
    wire.send("40").await;
    let answer = wire.message().await.unwrap_or_default();
    w.check(
        requirement,
        answer.starts_with("40"),
        "a connection that goes on",
        answer,
    );
    Ok(())
}

async fn a_packet_before_connect(w: World) -> Outcome {
    let (mut wire, _) = Wire::open(&w).await?;
    wire.send(r#"421["typing",{}]"#).await;
    w.check(
        &req::TRANSPORT_CONNECT_FIRST,
        wire.closed().await,
        "the end of the connection",
        "none",
    );
    Ok(())
}

async fn leaving_the_namespace(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let mut wire = Wire::of(&w, &ann).await?;
    let witness = ann.device().await?;
    bob.must_send(&ann.id, "first").await?;
    // What was on its way may still come, until the server has answered something that was sent after it, or could have.
    wire.send("41").await;
    wire.send("40/nowhere,").await;
    while wire
        .message()
        .await
        .is_some_and(|packet| !packet.starts_with("44/nowhere,"))
    {}
    bob.must_send(&ann.id, "second").await?;
    witness
        .must_take("new_message", |event| event["content"] == "second")
        .await?;
    wire.send(&format!("40{}", json!({"token": ann.access}))).await;
    let mut seen = Vec::new();
    while let Some(packet) = wire.message().await {
        let is_last = packet.contains("\"authenticated\"");
        seen.push(packet);
        if is_last {
            break;
        }
    }
    let requirement = &req::TRANSPORT_DISCONNECT_NAMESPACE;
    let leaked = seen.iter().any(|packet| packet.contains("\"second\""));
    w.check(requirement, !leaked, "no event behind DISCONNECT", "one");
    let back = seen.iter().any(|packet| packet.starts_with("40"));
    w.check(requirement, back, "a second CONNECT", format!("{} packets", seen.len()));
    Ok(())
}

async fn acks_carry_the_id_of_their_event(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut wire = Wire::of(&w, &ann).await?;
    // In whatever order they are numbered.
    for id in [0_u64, 7, 1, 1_000_000, 9_007_199_254_740_991, 7] {
        for namespace in ["", "/,"] {
            wire.send(&format!(r#"42{namespace}{id}["no_such_event",{{}}]"#)).await;
            let ack = wire.answer().await.unwrap_or_default();
            let good = ack
                .trim_start_matches("43")
                .trim_start_matches("/,")
                .starts_with(&format!("{id}[{{\"ok\":"))
                || ack.starts_with(&format!("43{id}["));
            w.check(&req::TRANSPORT_ACK_ID, good, format!("43{id}[…]"), ack);
        }
    }
    Ok(())
}

async fn answers_to_nothing(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut wire = Wire::of(&w, &ann).await?;
    for ack in ["431[]", r#"43999[{"ok":true}]"#] {
        wire.send(ack).await;
    }
    wire.send(r#"425["no_such_event",{}]"#).await;
    let ack = wire.answer().await.unwrap_or_default();
    w.check(
        &req::TRANSPORT_ACK_UNASKED,
        ack.starts_with("435["),
        "the next answer",
        ack,
    );
    Ok(())
}

async fn binary_events_wait_for_their_attachments(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut wire = Wire::of(&w, &ann).await?;
    let requirement = &req::TRANSPORT_BINARY_EVENT;
    wire.send(r#"452-5["typing",{"to":{"_placeholder":true,"num":0},"isTyping":{"_placeholder":true,"num":1}}]"#)
        .await;
    wire.send_binary(&[1, 2, 3]).await;
    wire.send_binary(&[]).await;
    let ack = wire.answer().await.unwrap_or_default();
    let good = ack.starts_with("435[") && ack.contains("VALIDATION_ERROR");
    w.check(requirement, good, "an ack 5 of VALIDATION_ERROR", ack);
    wire.send(r#"451-["send_message",{"_placeholder":true,"num":0}]"#).await;
    wire.send_binary(&[0xff; 1000]).await;
    let error = wire.answer().await.unwrap_or_default();
    let good = error.starts_with(r#"42["error","#) && error.contains("VALIDATION_ERROR");
    w.check(requirement, good, "an error event", error);
    Ok(())
}

async fn packets_that_cannot_be_parsed(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut bystander = Wire::of(&w, &ann).await?;
    for packet in [
        "4",
        "4abc",
        "47",
        "42{}",
        r#"42abc["typing",{}]"#,
        r#"42["typing""#,
        r#"45x-["typing",{}]"#,
    ] {
        let mut wire = Wire::of(&w, &ann).await?;
        wire.send(packet).await;
        w.check(
            &req::TRANSPORT_PACKET_MALFORMED,
            wire.closed().await,
            format!("an end after {packet:?}"),
            "none",
        );
        bystander.goes_on(&w, &req::TRANSPORT_PACKET_MALFORMED).await;
    }
    Ok(())
}
