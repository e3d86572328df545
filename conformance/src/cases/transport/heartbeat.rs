//! PING and PONG. Time itself is judged here.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::Value;

use super::wire::{Polling, Wire};
use crate::cases;
use crate::engine::{Outcome, Stop, World};

cases!("transport heartbeat":
    who_does_not_answer_is_closed for Transport [TRANSPORT_HEARTBEAT_TIME_OUT],
    pings_come for Transport [TRANSPORT_HEARTBEAT_FIRST_PING, TRANSPORT_HEARTBEAT_PING],
);

/// Beyond, the answer comes too late to be waited for.
const LONGEST: Duration = Duration::from_secs(50);
/// For the way of a packet, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(4);

fn times(open: &Value) -> (Duration, Duration) {
    let time = |name: &str| Duration::from_millis(open[name].as_u64().unwrap_or(0));
    (time("pingInterval"), time("pingTimeout"))
}

async fn who_does_not_answer_is_closed(w: World) -> Outcome {
    let began = Instant::now();
    let (mut wire, open) = Wire::open(&w).await?;
    let (interval, timeout) = times(&open);
    if interval + timeout > LONGEST {
        return Err(Stop::NotApplicable(format!(
            "takes {} s",
            (interval + timeout).as_secs()
        )));
    }
    let polling = Polling::open(&w).await?;
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

async fn pings_come(w: World) -> Outcome {
    let (mut wire, open) = Wire::open(&w).await?;
    let began = Instant::now();
    let (interval, _) = times(&open);
    if interval > LONGEST {
        return Err(Stop::NotApplicable(format!("takes {} s", interval.as_secs())));
    }
    let patience = interval + SLACK;
    let over_websocket = async {
        let ping = wire.next_within(patience).await;
        (ping, began.elapsed())
    };
    let ((ping, took), polled) = tokio::join!(over_websocket, polled_ping(&w, patience));
    w.check(
        &req::TRANSPORT_HEARTBEAT_PING,
        ping.as_deref() == Some("2"),
        "a PING",
        ping.unwrap_or_default(),
    );
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
async fn polled_ping(w: &World, patience: Duration) -> Result<bool, Stop> {
    let mut polling = Polling::open(w).await?;
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
