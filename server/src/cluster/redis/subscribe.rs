//! Hearing the other nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::aio::ConnectionManager;
use ::redis::{FromRedisValue as _, PushInfo, PushKind};
use tokio::time::{sleep, timeout};

use super::backlog::Backlog;
use super::connection::{Connections, JoinError, said};
use super::health::Health;

/// How often it is looked whether we hear ourselves.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// When we do not for so long, the subscription is made again; nobody tells when an automatic one fails.
const AGAIN_AFTER: Duration = Duration::from_millis(1_200);
/// And when that does not help, the connection.
const ANEW_AFTER: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Subscriber {
    connections: Connections,
    channel: String,
    received: Backlog,
    health: Arc<Health>,
    connection: ConnectionManager,
}

impl Subscriber {
    pub(super) async fn start(
        connections: Connections,
        channel: String,
        received: Backlog,
        health: Arc<Health>,
    ) -> Result<Self, JoinError> {
        let mut connection = connect(&connections, &received).await?;
        let subscribed = connection.subscribe(&channel).await;
        subscribed.map_err(|error| connections.failed(said(&error)))?;
        Ok(Self {
            connections,
            channel,
            received,
            health,
            connection,
        })
    }

    /// Sees to it that we hear, for ever.
    pub(super) async fn keep(mut self) {
        let mut made = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            let silent = self.health.silent_for();
            if silent < AGAIN_AFTER {
                continue;
            }
            let broken = silent > ANEW_AFTER && made.elapsed() > ANEW_AFTER;
            if broken && self.health.is_publishing() {
                made = Instant::now();
                // What both connections hear is taken once: batches are numbered.
                if let Ok(connection) = connect(&self.connections, &self.received).await {
                    self.connection = connection;
                }
            }
            let again = timeout(ANSWER_WITHIN, self.connection.subscribe(&self.channel)).await;
            if let Ok(Err(error)) = again {
                tracing::debug!(why = said(&error), "subscribing again failed");
            }
        }
    }
}

async fn connect(connections: &Connections, received: &Backlog) -> Result<ConnectionManager, JoinError> {
    let received = received.clone();
    connections.pushed(move |push| take(push, &received)).await
}

/// Runs in the task that reads the connection: never waits.
fn take(push: PushInfo, received: &Backlog) {
    if push.kind != PushKind::Message {
        return;
    }
    // The channel, of which there is one, and the batch.
    if let Some(batch) = push.data.into_iter().nth(1)
        && let Ok(batch) = Vec::<u8>::from_redis_value(batch)
    {
        received.put(batch);
    }
}
