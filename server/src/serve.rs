//! The listeners, from the first connection to an orderly end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use chat_protocol::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::app::App;
use crate::config::Config;
use crate::router::{metrics_router, router};

/// From the signal to the end; what takes longer is cut off.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// For the sockets to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// For other nodes to hear of what was done in the end.
const TELL_WITHIN: Duration = Duration::from_secs(3);
/// For the last packets to the sockets to leave.
const FAREWELL: Duration = Duration::from_millis(100);
/// How long a client may take nothing of what was sent to it; as patient as the heartbeat of the sockets.
const UNREAD_FOR: Duration = Duration::from_secs(45);
/// How soon the sockets of a user whom the operator deactivated are closed.
const INACTIVE_EVERY: Duration = Duration::from_secs(5);
/// How often expired sessions are removed.
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// Bound, so that clients can already connect.
pub struct Listeners {
    api: TcpListener,
    metrics: Option<TcpListener>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}. Set {variable} to an address that is free")]
pub struct BindError {
    address: SocketAddr,
    variable: &'static str,
    source: io::Error,
}

impl Listeners {
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let metrics = match config.metrics_addr {
            Some(address) => Some(bind(address, "METRICS_ADDR").await?),
            None => None,
        };
        Ok(Self {
            api: bind(config.listen, "HOST and PORT").await?,
            metrics,
        })
    }

    /// Where the API is; tells the port when `PORT` was 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.api.local_addr()
    }
}

async fn bind(address: SocketAddr, variable: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError {
        address,
        variable,
        source,
    })
}

/// Serves until `stop`, then: no new connections, running requests finish, sockets are told, everything is on disk.
pub async fn serve(app: App, listeners: Listeners, stop: impl Future<Output = ()>) {
    let (close, closed) = oneshot::channel::<()>();
    // Without it small packets wait for the acknowledgement of those before them.
    let api = listeners.api.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        if let Err(error) = end_when_unread(stream) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
        }
    });
    let (router, sockets) = router(app.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let api = axum::serve(api, service).with_graceful_shutdown(async {
        let _ = closed.await; // A dropped sender means the same.
    });
    let mut api = tokio::spawn(api.into_future());
    let metrics = listeners.metrics.map(|listener| {
        let service = metrics_router(app.clone());
        tokio::spawn(axum::serve(listener, service).into_future())
    });
    let house = tokio::spawn(keep_house(app.clone()));

    stop.await;
    tracing::info!(sockets = app.metrics.sockets.get(), "draining");
    let deadline = Instant::now() + DRAIN_WITHIN;
    app.drain();
    let _ = close.send(());
    house.abort();
    if timeout_at(deadline, app.requests_finished()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
    // A client that reads nothing is not waited for.
    let _ = timeout_at(deadline.min(Instant::now() + CLOSE_WITHIN), sockets.close()).await;
    sockets.end_workers();
    // While the other nodes listen.
    let told = async {
        app.chat.at_rest().await;
        app.store.finish_sending().await;
    };
    if timeout_at(deadline.min(Instant::now() + TELL_WITHIN), told)
        .await
        .is_err()
    {
        tracing::warn!("other nodes may not have heard of all that was done in the end");
    }
    app.depart().await;
    let farewell = deadline.min(Instant::now() + FAREWELL);
    // Upgraded connections are not waited for by the server.
    if timeout_at(farewell, &mut api).await.is_ok() {
        sleep(farewell.saturating_duration_since(Instant::now())).await;
    }
    app.store.close().await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    api.abort();
    tracing::info!("stopped");
}

/// A client that reads nothing blocks whoever writes to it: the heartbeat ends its session, but not that task, which would hold
/// what is not sent for as long as the client likes. The kernel ends the connection itself.
#[cfg(target_os = "linux")]
fn end_when_unread(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_FOR))
}

#[cfg(not(target_os = "linux"))]
fn end_when_unread(_: &TcpStream) -> io::Result<()> {
    let _ = UNREAD_FOR;
    Ok(())
}

/// What has to be done now and then.
async fn keep_house(app: App) {
    let mut inactive = interval(INACTIVE_EVERY);
    let mut purge = interval(PURGE_EVERY);
    for timer in [&mut inactive, &mut purge] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = inactive.tick() => {
                if let Err(error) = app.chat.end_inactive_users().await {
                    tracing::warn!(cause = error.cause(), "inactive users could not be looked for");
                }
                if let Err(error) = app.chat.end_doubted_sessions().await {
                    tracing::warn!(cause = error.cause(), "ended sessions could not be looked for");
                }
            }
            _ = purge.tick() => match app.store.purge_sessions(Timestamp::now()).await {
                Ok(0) => {}
                Ok(sessions) => tracing::info!(sessions, "removed expired sessions"),
                Err(error) => tracing::warn!(%error, "expired sessions could not be removed"),
            },
        }
    }
}
