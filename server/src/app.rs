//! What every handler receives. `build` is used by `main` and by tests alike.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry as MetricsRegistry;

use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::chat::Chat;
use crate::cluster::limits::Limits;
use crate::cluster::{DeviceId, Registry};
use crate::config::Config;
use crate::metrics::Metrics;
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
    pub limits: Limits,
    pub chat: Chat,
    pub store: Arc<dyn Store>,
    draining: AtomicBool,
    devices: AtomicU64,
}

/// Why the application cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start the password threads: {0}")]
    Passwords(std::io::Error),
}

impl App {
    /// Opens the store and starts what runs beside it. Needs a Tokio runtime.
    pub fn build(config: Config) -> Result<Self, StartError> {
        let mut metrics_registry = MetricsRegistry::default();
        let metrics = Metrics::new(&mut metrics_registry);
        let store: Arc<dyn Store> = SqliteStore::open(&config.data_dir, metrics.store.clone())?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // One core is left to messages, whatever happens at the door.
        let passwords = Passwords::new(threads.saturating_sub(1).max(1)).map_err(StartError::Passwords)?;
        let registry = Arc::new(Registry::new(metrics.clone()));
        let chat = Chat::new(store.clone(), passwords, Tokens::new(&config), registry, PRESENCE_GRACE);
        Ok(Self(Arc::new(Parts {
            limits: Limits::new(&config),
            config,
            metrics,
            metrics_registry,
            chat,
            store,
            draining: AtomicBool::new(false),
            devices: AtomicU64::new(0),
        })))
    }

    /// From now on the server takes no new work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
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
