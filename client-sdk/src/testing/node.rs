//! The server itself, in a runtime of its own, so that it can end as if it were killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat_server::app::App;
use chat_server::config::{Config, LimitConfig, RedisConfig, Secret, TokenConfig};
use chat_server::metrics::StoreMetrics;
use chat_server::serve::{Listeners, serve};
use chat_server::store::Store;
use chat_server::store::sqlite::SqliteStore;
use tokio::runtime::{Builder, Runtime};

use crate::{Error, ErrorKind, Result};

/// What a test may choose.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    pub(super) access_lifetime: Duration,
    pub(super) request_limit: u32,
    pub(super) login_limit: u32,
    pub(super) event_limit: u32,
    pub(super) mongodb: Option<String>,
    /// Its address, and the prefix of the deployment.
    pub(super) redis: Option<(String, String)>,
}

pub(super) struct Node {
    pub(super) address: SocketAddr,
    app: App,
    runtime: Option<Runtime>,
}

pub(super) fn open_store(dir: &Path) -> Result<Arc<dyn Store>> {
    let store = SqliteStore::open(dir, StoreMetrics::default());
    Ok(store.map_err(|error| unstartable("the store of the test server").because(error))?)
}

impl Node {
    pub(super) async fn start(choices: &Choices, dir: &Path, store: Option<Arc<dyn Store>>) -> Result<Self> {
        let config = config(choices, dir);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("test-server")
            .enable_all()
            .build()
            .map_err(|error| unstartable("a runtime for the test server").because(error))?;
        let starting = runtime.spawn(async move {
            let built = match store {
                Some(store) => App::with_store(config, store).await,
                None => App::build(config).await,
            };
            let app = built.map_err(|error| unstartable("the test server").because(error))?;
            let listeners = Listeners::bind(&app.config)
                .await
                .map_err(|error| unstartable("the port of the test server").because(error))?;
            Ok::<_, Error>((app, listeners))
        });
        let started = starting.await;
        let (app, listeners) = started.map_err(|error| unstartable("the test server").because(error))??;
        let address = listeners
            .address()
            .map_err(|error| unstartable("the port of the test server").because(error))?;
        runtime.spawn(serve(app.clone(), listeners, std::future::pending()));
        Ok(Self {
            address,
            app,
            runtime: Some(runtime),
        })
    }

    /// Ends at once and says nothing to anybody.
    pub(super) fn vanish(mut self) {
        self.end();
    }

    /// Says goodbye as a deploy does: closes its sockets, and keeps the last-seen times.
    pub(super) async fn depart(mut self) {
        let app = self.app.clone();
        app.drain();
        if let Some(runtime) = &self.runtime {
            let _ = runtime.spawn(async move { app.depart().await }).await; // It ends either way.
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May be dropped within another runtime, where waiting is forbidden.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

fn unstartable(what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{what} could not be started"))
}

fn config(choices: &Choices, dir: &Path) -> Config {
    let limit = |max| LimitConfig {
        max,
        window: Duration::from_secs(900),
    };
    let token = |secret: &str, lifetime| TokenConfig {
        secret: Secret(secret.into()),
        lifetime,
    };
    let refresh_lifetime = Duration::from_secs(7 * 24 * 3600);
    let access = token("signs access tokens of a server for tests", choices.access_lifetime);
    let refresh = token("signs refresh tokens of a server for tests", refresh_lifetime);
    Config {
        mongodb_uri: choices.mongodb.clone().map(Secret),
        redis: choices.redis.clone().map(|(url, prefix)| RedisConfig {
            url: Secret(url),
            prefix,
        }),
        request_limit: limit(choices.request_limit),
        auth_limit: limit(choices.login_limit),
        socket_limit: LimitConfig {
            max: choices.event_limit,
            window: Duration::from_secs(10),
        },
        ..Config::embedded(dir, access, refresh)
    }
}
