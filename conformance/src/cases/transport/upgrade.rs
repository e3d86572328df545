//! From polling to WebSocket.

use chat_spec::req;
use serde_json::Value;

use super::wire::{Polling, SEPARATOR, Wire};
use crate::cases;
use crate::engine::{Outcome, Stop, World};

cases!("transport upgrade":
    a_session_moves_to_a_websocket for Transport [TRANSPORT_UPGRADE_MOVES, TRANSPORT_UPGRADE_PROBE],
    a_session_has_one_websocket for Transport [TRANSPORT_UPGRADE_ONCE],
    nothing_is_lost_on_the_way for Transport [TRANSPORT_UPGRADE_NOTHING_LOST, TRANSPORT_UPGRADE_PROBE],
);

/// A WebSocket under the id of a polling session, if there is one.
async fn under(w: &World, polling: &Polling) -> Option<Wire> {
    Wire::ask(w, &format!("EIO=4&transport=websocket&sid={}", polling.sid)).await
}

/// A WebSocket that has been probed, and what became of the poll that waited.
async fn probed(w: &World, polling: &Polling) -> Result<(Wire, (u16, String)), Stop> {
    let none = || Stop::Inconclusive("no WebSocket for a polling session".into());
    let mut wire = under(w, polling).await.ok_or_else(none)?;
    let probing = async {
        wire.send("2probe").await;
        wire.next().await
    };
    let (poll, answer) = tokio::join!(polling.get(), probing);
    w.need(
        &req::TRANSPORT_UPGRADE_PROBE,
        answer.as_deref() == Some("3probe"),
        "3probe",
        answer.unwrap_or_default(),
    )?;
    Ok((wire, poll))
}

async fn a_session_moves_to_a_websocket(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let polling = Polling::of(&w, &ann).await?;
    let (mut wire, poll) = probed(&w, &polling).await?;
    w.check(
        &req::TRANSPORT_UPGRADE_PROBE,
        poll.0 == 200,
        "a poll that is let go",
        poll.0,
    );
    wire.send("5").await;
    wire.send(r#"423["no_such_event",{}]"#).await;
    let ack = wire.answer().await.unwrap_or_default();
    let requirement = &req::TRANSPORT_UPGRADE_MOVES;
    let still = ack.starts_with("433[") && ack.contains("UNKNOWN_EVENT");
    w.check(
        requirement,
        still,
        "an ack over the WebSocket, still authenticated",
        ack,
    );
    let (status, _) = polling.get().await;
    w.check(requirement, status == 400, "an end of polling", status);
    Ok(())
}

async fn a_session_has_one_websocket(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let polling = Polling::of(&w, &ann).await?;
    let (mut wire, _) = probed(&w, &polling).await?;
    wire.send("5").await;
    // The session has moved when it answers here.
    wire.send(r#"423["no_such_event",{}]"#).await;
    if wire.answer().await.is_none() {
        return Err(Stop::Inconclusive("the session did not move to the WebSocket".into()));
    }
    let requirement = &req::TRANSPORT_UPGRADE_ONCE;
    let second = async {
        let Some(mut second) = under(&w, &polling).await else {
            return (None, true);
        };
        second.send("2probe").await;
        second.send("5").await;
        let heard = second.next().await;
        let closed = second.closed().await;
        (heard, closed)
    };
    let (heard, closed) = tokio::select! {
        ended = second => ended,
        () = wire.stays() => (None, false),
    };
    // It may say whatever it likes before it is closed, but not that it is a session of its own.
    let is_session = heard.as_ref().is_some_and(|packet| packet.starts_with('0'));
    w.check(
        requirement,
        closed && !is_session,
        "no second WebSocket, or one that is closed",
        heard.unwrap_or_else(|| "an open one".into()),
    );
    wire.goes_on(&w, requirement).await;
    Ok(())
}

async fn nothing_is_lost_on_the_way(w: World) -> Outcome {
    const MESSAGES: usize = 40;
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let mut polling = Polling::of(&w, &ann).await?;
    let sender = tokio::spawn({
        let (to, bob) = (ann.id.clone(), bob.clone());
        async move {
            for number in 0..MESSAGES {
                if bob.must_send(&to, &number.to_string()).await.is_err() {
                    return number;
                }
            }
            MESSAGES
        }
    });
    let mut packets: Vec<String> = Vec::new();
    // Some while polling …
    while packets.iter().filter(|packet| is_message(packet)).count() < 3 {
        let Some(packet) = polling.message().await else { break };
        packets.push(packet);
    }
    // … some between …
    let (mut wire, poll) = probed(&w, &polling).await?;
    packets.extend(polling.taken());
    packets.extend(poll.1.split(SEPARATOR).map(str::to_owned));
    wire.send("5").await;
    // … and the rest over the WebSocket.
    while packets.iter().filter(|packet| is_message(packet)).count() < MESSAGES {
        let Some(packet) = wire.message().await else { break };
        packets.push(packet);
    }
    let sent = sender.await.unwrap_or(0);
    let seen: Vec<String> = packets.iter().filter_map(|packet| content(packet)).collect();
    let expected: Vec<String> = (0..sent).map(|number| number.to_string()).collect();
    w.check(
        &req::TRANSPORT_UPGRADE_NOTHING_LOST,
        seen == expected,
        format!("{sent} messages in order"),
        format!("{seen:?}"),
    );
    Ok(())
}

fn is_message(packet: &str) -> bool {
    packet.starts_with("42[\"new_message\"")
}

fn content(packet: &str) -> Option<String> {
    let event: Value = serde_json::from_str(packet.strip_prefix("42")?).ok()?;
    (event[0] == "new_message").then(|| event[1]["content"].as_str().map(str::to_owned))?
}
