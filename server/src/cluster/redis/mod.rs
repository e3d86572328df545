//! Several nodes as one deployment, joined by Redis publish/subscribe.
//!
//! Nothing that a user waits for waits for Redis, but for one count at login. Every node tells the others, through one channel
//! and in numbered batches, what it delivered and who came and went; each delivers to its own devices alone. What a node
//! misses, it notices by the numbers: messages are in the history, presence is asked for anew, ended sessions are looked for in
//! the store. Redis keeps nothing but the counts of logins, so one that comes back empty is as good as before.

mod backlog;
mod connection;
mod health;
mod inbox;
mod limits;
mod nodes;
mod publish;
mod subscribe;
mod typing;

use std::sync::Arc;
use std::time::Duration;

use chat_protocol::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub use connection::JoinError;
pub(super) use limits::AuthCount;

use self::backlog::Backlog;
use self::connection::Connections;
use self::health::Health;
use self::inbox::Inbox;
use self::publish::Publisher;
use self::subscribe::Subscriber;
use super::Registry;
use super::frame::{News, NodeId};
use super::limits::Limits;
use super::notice::{NoticeBoard, Notices};
use super::outbox::Outbox;
use crate::config::{Config, RedisConfig};
use crate::metrics::Metrics;

/// How often a node says that it lives.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How long a node that starts waits for the others to say what they have.
const INTRODUCTION: Duration = Duration::from_secs(1);
/// How long a node that ends waits for Redis to take its last words.
const FAREWELL: Duration = Duration::from_millis(500);

/// This node's place among the others. Leaves without a word when it is dropped.
pub struct Cluster {
    outbox: Outbox,
    _tasks: JoinSet<()>,
}

/// What a node needs that has joined the others.
pub struct Joined {
    pub cluster: Cluster,
    pub registry: Arc<Registry>,
    pub limits: Arc<Limits>,
    /// For the rules to see to.
    pub notices: Notices,
}

impl Cluster {
    /// Connects and hears what the other nodes have. Fails at once when Redis cannot be reached: at the start that is most
    /// likely a wrong address.
    pub async fn join(redis: &RedisConfig, config: &Config, metrics: &Metrics) -> Result<Joined, JoinError> {
        let connections = Connections::open(redis).await?;
        let node = NodeId::random();
        let channel = format!("{}:nodes", redis.prefix);
        let (outbox, outgoing) = Outbox::new(metrics.cluster.clone());
        let registry = Arc::new(Registry::joined(metrics.clone(), outbox.clone()));
        let health = Arc::new(Health::new(outgoing.state.clone(), metrics.cluster.clone()));
        let auth = AuthCount::new(connections.commands.clone(), redis, health.clone());
        let limits = Arc::new(Limits::joined(config, auth));
        let (board, notices) = NoticeBoard::new();

        let (received, batches) = Backlog::new();
        let subscriber = Subscriber::start(connections.clone(), channel.clone(), received, health.clone()).await?;
        let publisher = Publisher::new(node, channel.clone(), connections.commands.clone(), health.clone());
        let (known, knowing) = watch::channel(0);
        let inbox = Inbox {
            node,
            registry: registry.clone(),
            limits: limits.clone(),
            outbox: outbox.clone(),
            board,
            health,
            metrics: metrics.cluster.clone(),
            known,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(publisher.run(outgoing));
        tasks.spawn(subscriber.keep());
        tasks.spawn(inbox.run(batches));
        tasks.spawn(beat(outbox.clone()));
        tasks.spawn(limits::report(limits.clone(), outbox.clone()));

        outbox.tell(&News::Ask { of: None });
        let others = connections.listeners(&channel).await.saturating_sub(1);
        let _ = timeout(INTRODUCTION, introduced(knowing, others)).await; // Who is silent is asked again.
        tracing::info!(node = ?node, others, "joined the other nodes through Redis");
        Ok(Joined {
            cluster: Self { outbox, _tasks: tasks },
            registry,
            limits,
            notices,
        })
    }

    /// Whether the other nodes can be reached.
    pub fn is_up(&self) -> bool {
        self.outbox.is_up()
    }

    /// Says goodbye: the users of this node have moments to come back at another before they count as gone.
    pub async fn leave(&self) {
        self.outbox.tell(&News::Bye { at: Timestamp::now() });
        if timeout(FAREWELL, self.outbox.close()).await.is_err() {
            tracing::warn!("the other nodes could not be told of the end of this one");
        }
    }
}

async fn introduced(mut knowing: watch::Receiver<usize>, others: usize) {
    let _ = knowing.wait_for(|known| *known >= others).await; // Its sender lives as long as the inbox.
}

async fn beat(outbox: Outbox) {
    let mut every = interval(BEAT_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        outbox.tell(&News::Beat { at: Timestamp::now() });
    }
}
