//! What takes long: time-outs of the connection.

use chat_spec::req;
use std::time::Duration;

use crate::cases;
use crate::engine::{Connection, Outcome, Stop, Transport, World};

cases!("sockets":
    an_idle_guest_is_shown_out [SOCKET_AUTHENTICATE_TIME_OUT],
);

async fn an_idle_guest_is_shown_out(w: World) -> Outcome {
    let (base, _own) = super::impatient(&w).await?;
    let ann = w.user_at(&base, "ann").await?;
    let Connection::Open(device) = ann.connect(Transport::Websocket, None).await? else {
        return Err(Stop::Inconclusive("a socket without a token was refused".into()));
    };
    let error = device
        .take_within(Duration::from_secs(14), "error", |p| p["code"] == "UNAUTHENTICATED")
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
    Ok(())
}
