//! What takes long: time-outs of the connection.

use std::time::{Duration, Instant};

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Connection, Device, Outcome, Stop, Transport, User, World};

/// How long a guest may take to authenticate, by the contract.
const GRACE: Duration = Duration::from_secs(10);
/// Whoever is not shown out by then never is.
const OUT_AT_LAST: Duration = Duration::from_secs(18);
/// How long one takes here: late, and early enough for whatever is slow on the way.
const HESITATION: Duration = Duration::from_secs(8);

cases!("sockets":
    an_idle_guest_is_shown_out [SOCKET_AUTHENTICATE_TIME_OUT],
    a_guest_may_hesitate [SOCKET_AUTHENTICATE_TIME_OUT],
);

/// A socket without a token.
async fn guest(user: &User) -> Result<Device, Stop> {
    match user.connect(Transport::Websocket, None).await? {
        Connection::Open(device) => Ok(device),
        Connection::Refused(_) => Err(Stop::Inconclusive("a socket without a token was refused".into())),
    }
}

async fn an_idle_guest_is_shown_out(w: World) -> Outcome {
    let (base, _own) = super::impatient(&w).await?;
    let ann = w.user_at(&base, "ann").await?;
    let shown_out = || async {
        let device = guest(&ann).await?;
        let opened = Instant::now();
        let error = device
            .take_timed(OUT_AT_LAST, "error", |p| p["code"] == "UNAUTHENTICATED")
            .await;
        w.check(
            &req::SOCKET_AUTHENTICATE_TIME_OUT,
            error.is_some(),
            "error UNAUTHENTICATED after 10 s",
            device.state(),
        );
        w.check(
            &req::SOCKET_AUTHENTICATE_TIME_OUT,
            device.ended().await,
            "a disconnection",
            device.state(),
        );
        // Where none came, that has been said.
        Ok(error.map_or(Duration::ZERO, |(_, at)| at.saturating_duration_since(opened)))
    };
    let first = shown_out().await?;
    super::within(&w, &req::SOCKET_AUTHENTICATE_TIME_OUT, GRACE, first, shown_out).await
}

/// At the target itself: a server of a case's own may be less patient.
async fn a_guest_may_hesitate(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    // No server begins to count before this.
    let began = Instant::now();
    let device = guest(&ann).await?;
    let ended = device.ended_within(HESITATION.saturating_sub(began.elapsed())).await;
    let answer = match ended {
        true => None,
        false => {
            let asked = device.ask_later("authenticate", json!({"token": ann.access}));
            device.answer(asked).await
        }
    };
    let (ok, took) = (answer.as_ref().is_some_and(|ack| ack["ok"] == true), began.elapsed());
    if !ok && took >= GRACE {
        return Err(Stop::TooSlow("a guest did not come to authenticate within 10 s".into()));
    }
    w.check(
        &req::SOCKET_AUTHENTICATE_TIME_OUT,
        ok,
        format!("ok true after {} s", HESITATION.as_secs()),
        format!(
            "{} after {} ms; {}",
            answer.unwrap_or(Value::Null),
            took.as_millis(),
            device.state()
        ),
    );
    Ok(())
}
