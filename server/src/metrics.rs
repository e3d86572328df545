//! What the server counts, for `/metrics`. Labels are names from our own lists, never anything that a client sent.

mod process;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Every metric; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Seconds per REST call, by operation and status.
    pub requests: Family<RequestLabels, Histogram>,
    /// Seconds per socket event, by event and outcome (`ok` or an error code).
    pub events: Family<EventLabels, Histogram>,
    /// Connected sockets, authenticated or not.
    pub sockets: Gauge,
    /// Users with at least one socket, invisible ones included.
    pub users_online: Gauge,
    /// Sockets closed because they did not keep up.
    pub slow_consumers: Counter,
    pub store: StoreMetrics,
    pub cluster: ClusterMetrics,
}

/// What passes between the nodes of a deployment. All zero on a node on its own.
#[derive(Debug, Clone, Default)]
pub struct ClusterMetrics {
    /// 1 while Redis carries what nodes tell each other.
    pub up: Gauge,
    /// Other nodes that are alive.
    pub nodes: Gauge,
    /// Batches sent to the other nodes.
    pub sent: Counter,
    /// Batches of other nodes.
    pub received: Counter,
    lost: Family<LostLabels, Counter>,
}

/// Why something did not get from one node to another. Clients find lost messages in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Lost {
    /// Frames for which the queue to Redis had no room.
    Overflow,
    /// Frames that Redis did not confirm.
    Unsent,
    /// Batches of other nodes that never came.
    Missed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LostLabels {
    reason: Lost,
}

/// What the write path of the store reports.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Writes waiting to be committed.
    pub queue_depth: Gauge,
    /// Writes per commit.
    pub group_size: Histogram,
    /// Seconds per commit.
    pub commit_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub operation: &'static str,
    pub status: u16,
    /// The error code, or `ok`.
    pub code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    pub event: &'static str,
    pub outcome: String,
}

impl Metrics {
    /// All metrics at zero, registered under `chat_…`; beside them what the process uses.
    pub fn new(registry: &mut Registry) -> Self {
        registry.register_collector(Box::new(process::Process));
        let metrics = Self {
            requests: Family::new_with_constructor(durations),
            events: Family::new_with_constructor(durations),
            sockets: Gauge::default(),
            users_online: Gauge::default(),
            slow_consumers: Counter::default(),
            store: StoreMetrics::default(),
            cluster: ClusterMetrics::default(),
        };
        let registry = registry.sub_registry_with_prefix("chat");
        let seconds = Unit::Seconds;
        registry.register_with_unit("request", "REST calls", seconds.clone(), metrics.requests.clone());
        registry.register_with_unit("event", "Socket events", seconds.clone(), metrics.events.clone());
        registry.register("sockets", "Connected sockets", metrics.sockets.clone());
        registry.register("users_online", "Users with a socket", metrics.users_online.clone());
        registry.register(
            "slow_consumers",
            "Sockets closed for not keeping up",
            metrics.slow_consumers.clone(),
        );
        let store = &metrics.store;
        registry.register(
            "store_queue_depth",
            "Writes waiting to be committed",
            store.queue_depth.clone(),
        );
        registry.register("store_group_size", "Writes per commit", store.group_size.clone());
        registry.register_with_unit("store_commit", "Commits", seconds, store.commit_seconds.clone());
        let cluster = &metrics.cluster;
        registry.register(
            "cluster_up",
            "Whether Redis joins this node to the others",
            cluster.up.clone(),
        );
        registry.register("cluster_nodes", "Other nodes that are alive", cluster.nodes.clone());
        registry.register("cluster_sent", "Batches sent to other nodes", cluster.sent.clone());
        registry.register("cluster_received", "Batches of other nodes", cluster.received.clone());
        registry.register(
            "cluster_lost",
            "What did not get from one node to another",
            cluster.lost.clone(),
        );
        metrics
    }
}

impl ClusterMetrics {
    pub fn lost(&self, reason: Lost, count: u64) {
        self.lost.get_or_create(&LostLabels { reason }).inc_by(count);
    }

    /// What was lost so far, for whatever reason.
    pub fn lost_in_all(&self) -> u64 {
        let reasons = [Lost::Overflow, Lost::Unsent, Lost::Missed];
        reasons
            .map(|reason| self.lost.get_or_create(&LostLabels { reason }).get())
            .iter()
            .sum()
    }
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            queue_depth: Gauge::default(),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: durations(),
        }
    }
}

fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 18))
}
