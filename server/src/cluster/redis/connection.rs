//! Connections that heal by themselves.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, IntoConnectionInfo as _, ProtocolVersion, PushInfo, RedisError};
use tokio::time::timeout;

use crate::config::RedisConfig;

/// For the first connection, at the start.
const START_WITHIN: Duration = Duration::from_secs(2);
/// For the kernel to give up a connection whose other end acknowledges nothing.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Why a node cannot join the others. Says nothing of what is secret in the address.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot reach Redis at {address}: {why}. Start it or correct REDIS_URL; without REDIS_URL the server runs as one node"
)]
pub struct JoinError {
    address: String,
    why: String,
}

/// Makes connections to one Redis.
#[derive(Clone)]
pub(super) struct Connections {
    client: Client,
    address: String,
    /// For everything but what is pushed to us. A command fails rather than waits: only the one after it reconnects.
    pub(super) commands: ConnectionManager,
}

impl Connections {
    pub(super) async fn open(config: &RedisConfig) -> Result<Self, JoinError> {
        let refused = |error: RedisError| JoinError {
            address: "REDIS_URL".into(),
            why: said(&error),
        };
        let info = config.url.0.as_str().into_connection_info().map_err(refused)?;
        let address = info.addr().to_string();
        // RESP3 carries pushes, and only with it does an idle connection notice that it is lost.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_user_timeout(UNACKNOWLEDGED);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let failed = |why: String| JoinError {
            address: address.clone(),
            why,
        };
        let client = Client::open(info).map_err(|error| failed(said(&error)))?;
        // With few retries: creation waits until they are used up.
        let config = timing().set_number_of_retries(1);
        let commands = match timeout(START_WITHIN, ConnectionManager::new_with_config(client.clone(), config)).await {
            Ok(Ok(commands)) => commands,
            Ok(Err(error)) => return Err(failed(said(&error))),
            Err(_) => return Err(failed("it does not answer".into())),
        };
        Ok(Self {
            client,
            address,
            commands,
        })
    }

    /// A connection on which Redis pushes. It reconnects by itself and without end.
    pub(super) async fn pushed(
        &self,
        take: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<ConnectionManager, JoinError> {
        let config = timing()
            .set_number_of_retries(usize::MAX)
            .set_automatic_resubscription()
            .set_push_sender(move |push| {
                take(push);
                Ok::<_, std::convert::Infallible>(())
            });
        match timeout(
            START_WITHIN,
            ConnectionManager::new_with_config(self.client.clone(), config),
        )
        .await
        {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.failed(said(&error))),
            Err(_) => Err(self.failed("it does not answer".into())),
        }
    }

    /// How many listen to a channel; 0 when Redis cannot say.
    pub(super) async fn listeners(&self, channel: &str) -> usize {
        let mut commands = self.commands.clone();
        let mut ask = ::redis::cmd("PUBSUB");
        let answer = ask.arg("NUMSUB").arg(channel).query_async(&mut commands).await;
        answer.map_or(0, |(_, count): (String, usize)| count)
    }

    pub(super) fn failed(&self, why: String) -> JoinError {
        JoinError {
            address: self.address.clone(),
            why,
        }
    }
}

fn timing() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_max_delay(Duration::from_millis(500))
        .set_response_timeout(Some(Duration::from_secs(2)))
        .set_connection_timeout(Some(Duration::from_secs(1)))
}

/// What Redis said, without anything that we said: an address may carry a password.
pub(super) fn said(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{} ({detail})", error.category()),
        None => error.category().to_owned(),
    }
}
