//! PING and PONG, and who never says anything else. Time itself is judged here.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::Value;

use super::wire::{Polling, Wire, connect};
use crate::cases;
use crate::cases::impatient;
use crate::engine::{Outcome, Stop, User, World};

cases!("transport heartbeat":
    who_does_not_answer_is_closed for Transport [TRANSPORT_HEARTBEAT_TIME_OUT],
    who_never_connects_is_shown_out for Transport [TRANSPORT_CONNECT_AWAITED],
    pings_come for Transport [TRANSPORT_HEARTBEAT_FIRST_PING, TRANSPORT_HEARTBEAT_PING],
);

/// Beyond, the answer comes too late to be waited for.
const LONGEST: Duration = Duration::from_secs(50);
/// With a margin for the way of the close.
const CONNECT_WITHIN: Duration = Duration::from_secs(50);
/// For the way of a packet, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(4);

fn times(open: &Value) -> (Duration, Duration) {
    let time = |name: &str| Duration::from_millis(open[name].as_u64().unwrap_or(0));
    (time("pingInterval"), time("pingTimeout"))
}

async fn who_does_not_answer_is_closed(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let began = Instant::now();
    let (mut wire, open) = Wire::open(&w).await?;
    wire.send(&connect(&ann)).await;
    // Who is not connected may be closed for that.
    let unconnected = || Stop::Inconclusive("CONNECT was not answered".into());
    while !wire.next().await.ok_or_else(unconnected)?.starts_with("40") {}
    let (interval, timeout) = times(&open);
    if interval + timeout > LONGEST {
        return Err(Stop::NotApplicable(format!(
            "takes {} s",
            (interval + timeout).as_secs()
        )));
    }
    let mut polling = Polling::open(&w).await?;
    polling.post(&connect(&ann)).await;
    while !polling.next().await.ok_or_else(unconnected)?.starts_with("40") {}
    let opened = Instant::now();
    let requirement = &req::TRANSPORT_HEARTBEAT_TIME_OUT;
    let closed = wire.closed_within(interval + timeout + SLACK).await;
    w.check(requirement, closed, "the end of a WebSocket without PONG", "none");
    // Nothing shows the end of a session over polling but asking, which comes after as long a time and some more.
    tokio::time::sleep_until((opened + began.elapsed() + SLACK / 2).into()).await;
    let (status, _) = polling.get().await;
    w.check(
        requirement,
        status == 400,
        "the end of a polling session without PONG",
        status,
    );
    Ok(())
}

async fn who_never_connects_is_shown_out(w: World) -> Outcome {
    let (base, _own) = impatient(&w).await?;
    let (mut wire, _) = Wire::open_at(&w, &base).await?;
    let mut polling = Polling::open_at(&w, &base).await?;
    // Who answers every PING is not closed for being dead.
    let (wire, polling) = tokio::join!(
        wire.closed_although_alive(CONNECT_WITHIN),
        polling.closed_although_alive(CONNECT_WITHIN)
    );
    for (closed, over) in [(wire, "WebSocket"), (polling, "polling")] {
        w.check(
            &req::TRANSPORT_CONNECT_AWAITED,
            closed,
            format!("the end of a connection over {over} without CONNECT"),
            "none",
        );
    }
    Ok(())
}

async fn pings_come(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let (mut wire, open) = Wire::open(&w).await?;
    let began = Instant::now();
    wire.send(&connect(&ann)).await;
    let (interval, _) = times(&open);
    if interval > LONGEST {
        return Err(Stop::NotApplicable(format!("takes {} s", interval.as_secs())));
    }
    let patience = interval + SLACK;
    let over_websocket = async {
        let ping = wire.pinged_within(patience).await;
        (ping, began.elapsed())
    };
    let ((pinged, took), polled) = tokio::join!(over_websocket, polled_ping(&w, &ann, patience));
    w.check(&req::TRANSPORT_HEARTBEAT_PING, pinged, "a PING", "none");
    w.check(&req::TRANSPORT_HEARTBEAT_PING, polled?, "a PING to who polls", "none");
    w.check(
        &req::TRANSPORT_HEARTBEAT_FIRST_PING,
        took >= interval / 2,
        format!("a first PING after {} ms", interval.as_millis()),
        format!("{} ms", took.as_millis()),
    );
    Ok(())
}

/// Whether a PING comes to who polls; a poll may be let go with something else.
async fn polled_ping(w: &World, ann: &User, patience: Duration) -> Result<bool, Stop> {
    let mut polling = Polling::open(w).await?;
    polling.post(&connect(ann)).await;
    let opened = Instant::now();
    while let Some(left) = patience.checked_sub(opened.elapsed()) {
        match polling.next_within(left).await.as_deref() {
            Some("2") => return Ok(true),
            Some(_) => {}
            None => break,
        }
    }
    Ok(false)
}
