//! What every handler receives. `build` is used by `main` and by tests alike.

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chat_protocol::Timestamp;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::sync::Notify;

use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::chat::Chat;
use crate::cluster::limits::Limits;
use crate::cluster::redis::{Cluster, JoinError, Joined};
use crate::cluster::{DeviceId, Registry};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::mongo::MongoStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// How long a user stays online after the last device left, so that a reload of a page is not seen.
const PRESENCE_GRACE: Duration = Duration::from_secs(2);

/// The application: one allocation, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub config: Config,
    pub metrics: Metrics,
    pub metrics_registry: MetricsRegistry,
    pub limits: Arc<Limits>,
    pub chat: Chat,
    pub store: Arc<dyn Store>,
    /// `None`: a node on its own.
    pub cluster: Option<Cluster>,
    draining: AtomicBool,
    devices: AtomicU64,
    requests: AtomicUsize,
    idle: Notify,
}

/// A request that is being answered.
#[must_use = "the request counts as finished when it is dropped"]
pub struct Busy(App);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// Why the application cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] JoinError),
    #[error("cannot start the password threads: {0}")]
    Passwords(std::io::Error),
}

impl App {
    /// Opens the store and starts what runs beside it. Needs a Tokio runtime.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        let mut metrics_registry = MetricsRegistry::default();
        let metrics = Metrics::new(&mut metrics_registry);
        let store: Arc<dyn Store> = match &config.mongodb_uri {
            Some(uri) => MongoStore::open(&uri.0, metrics.store.clone()).await?,
            None => SqliteStore::open(&config.data_dir, metrics.store.clone())?,
        };
        Self::on(store, config, metrics, metrics_registry).await
    }

    /// On a store that is open: nodes of one deployment have one.
    pub async fn with_store(config: Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let mut metrics_registry = MetricsRegistry::default();
        let metrics = Metrics::new(&mut metrics_registry);
        Self::on(store, config, metrics, metrics_registry).await
    }

    async fn on(
        store: Arc<dyn Store>,
        config: Config,
        metrics: Metrics,
        metrics_registry: MetricsRegistry,
    ) -> Result<Self, StartError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // One core is left to messages, whatever happens at the door.
        let passwords = Passwords::new(threads.saturating_sub(1).max(1)).map_err(StartError::Passwords)?;
        let joined = match &config.redis {
            Some(redis) => Some(Cluster::join(redis, &config, &metrics).await?),
            None => None,
        };
        let (cluster, registry, limits, notices) = match joined {
            Some(Joined {
                cluster,
                registry,
                limits,
                notices,
            }) => (Some(cluster), registry, limits, Some(notices)),
            None => {
                let registry = Arc::new(Registry::new(metrics.clone()));
                (None, registry, Arc::new(Limits::new(&config)), None)
            }
        };
        let chat = Chat::new(store.clone(), passwords, Tokens::new(&config), registry, PRESENCE_GRACE);
        if let Some(notices) = notices {
            let chat = chat.clone();
            tokio::spawn(async move { chat.follow(notices).await });
        }
        Ok(Self(Arc::new(Parts {
            limits,
            config,
            metrics,
            metrics_registry,
            chat,
            store,
            cluster,
            draining: AtomicBool::new(false),
            devices: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            idle: Notify::new(),
        })))
    }

    /// From now on the server takes no new work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Takes the users away, here and as the other nodes see it.
    pub async fn depart(&self) {
        self.0.chat.save_departures(Timestamp::now()).await;
        if let Some(cluster) = &self.0.cluster {
            cluster.leave().await;
        }
    }

    /// Counts a request until the answer is dropped.
    pub fn begin_request(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Waits until no request is being answered.
    pub async fn requests_finished(&self) {
        loop {
            let mut idle = pin!(self.0.idle.notified());
            // From here on no notification is missed.
            idle.as_mut().enable();
            if self.0.requests.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// A name for a new device.
    pub fn next_device(&self) -> DeviceId {
        DeviceId(self.0.devices.fetch_add(1, Ordering::Relaxed))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[cfg(test)]
mod tests;
