//! The handshake of Engine.IO.

use chat_spec::{Requirement, req};
use serde_json::{Value, json};

use super::wire::{Polling, SEPARATOR, Wire, request};
use crate::cases;
use crate::engine::{Outcome, World};

cases!("transport opening":
    a_handshake_opens_a_session for Transport [TRANSPORT_OPEN_PACKET, TRANSPORT_OPEN_UPGRADES],
    bad_handshakes_open_nothing for Transport [TRANSPORT_OPEN_BAD_QUERY, TRANSPORT_OPEN_UNKNOWN_SID],
    sessions_are_opened_by_get for Transport [TRANSPORT_OPEN_METHODS],
);

fn judge_open(w: &World, open: &Value, upgrades: Value) {
    let number = |name: &str| open[name].as_u64().is_some_and(|number| number > 0);
    let whole = open["sid"].as_str().is_some_and(|sid| !sid.is_empty())
        && open["upgrades"].is_array()
        && number("pingInterval")
        && number("pingTimeout")
        && number("maxPayload");
    w.check(
        &req::TRANSPORT_OPEN_PACKET,
        whole,
        "sid, upgrades, pingInterval, pingTimeout, maxPayload",
        open,
    );
    w.equal(
        &req::TRANSPORT_OPEN_UPGRADES,
        "upgrades",
        upgrades,
        open["upgrades"].clone(),
    );
}

async fn a_handshake_opens_a_session(w: World) -> Outcome {
    let (_wire, open) = Wire::open(&w).await?;
    judge_open(&w, &open, json!([]));
    let (one, two) = (Polling::open(&w).await?, Polling::open(&w).await?);
    judge_open(&w, &one.open, json!(["websocket"]));
    w.check(
        &req::TRANSPORT_OPEN_PACKET,
        one.sid != two.sid,
        "two ids for two sessions",
        &one.sid,
    );
    Ok(())
}

async fn bad_handshakes_open_nothing(w: World) -> Outcome {
    let bad: &'static Requirement = &req::TRANSPORT_OPEN_BAD_QUERY;
    for query in [
        "transport=polling",
        "EIO=3&transport=polling",
        "EIO=5&transport=polling",
        "EIO=abc&transport=polling",
        "EIO=4",
        "EIO=4&transport=abc",
        "",
    ] {
        let (status, _) = request(&w, "GET", query, "").await;
        w.check(bad, status == 400, format!("400 for {query:?}"), status);
    }
    for query in [
        "transport=websocket",
        "EIO=3&transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4&transport=abc",
    ] {
        let opened = match Wire::ask(&w, query).await {
            // Some servers say no over the WebSocket that they opened for it.
            Some(mut wire) => wire.next().await.is_some_and(|packet| packet.starts_with('0')),
            None => false,
        };
        w.check(bad, !opened, format!("no session for {query:?}"), "a session");
    }
    let unknown = &req::TRANSPORT_OPEN_UNKNOWN_SID;
    for sid in ["abc", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA", "..%2F..", "%00"] {
        let query = format!("EIO=4&transport=polling&sid={sid}");
        for method in ["GET", "POST"] {
            let (status, _) = request(&w, method, &query, "2").await;
            w.check(unknown, status == 400, format!("400 for {method} of {sid}"), status);
        }
        let live = match Wire::ask(&w, &query.replace("polling", "websocket")).await {
            Some(mut wire) => {
                wire.send("2probe").await;
                wire.next().await
            }
            None => None,
        };
        w.check(unknown, live.is_none(), "no session", live.unwrap_or_default());
    }
    Ok(())
}

async fn sessions_are_opened_by_get(w: World) -> Outcome {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let (status, body) = request(&w, method, "EIO=4&transport=polling", "").await;
        let opened = body.split(SEPARATOR).any(|packet| packet.starts_with("0{"));
        let refused = (400..500).contains(&status) && !opened;
        w.check(
            &req::TRANSPORT_OPEN_METHODS,
            refused,
            format!("{method} refused"),
            status,
        );
    }
    Ok(())
}
