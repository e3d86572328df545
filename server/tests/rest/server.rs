//! A server of its own for each test, in this process, on a free port.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use chat_protocol::UserId;
use chat_server::app::App;
use chat_server::config::{Config, CorsConfig, Environment, LimitConfig, LogLevel, Secret, TokenConfig};
use chat_server::serve::{Listeners, serve};
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::person::Person;

/// Runs until the test ends.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) url: String,
    _dir: TempDir,
}

impl Server {
    /// Without limits.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        let app = App::build(config).await.unwrap();
        let listeners = Listeners::bind(&app.config).await.unwrap();
        let url = format!("http://{}", listeners.address().unwrap());
        tokio::spawn(serve(app.clone(), listeners, std::future::pending()));
        Self { app, url, _dir: dir }
    }

    /// Somebody without a token.
    pub(crate) fn visitor(&self) -> Client {
        Client::new(&self.url)
    }

    /// Registers `name`.
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(self.visitor(), name).await
    }

    /// Logs in as somebody who is registered: a further session.
    pub(crate) async fn session_of(&self, person: &Person) -> Person {
        let body = json!({"identifier": person.name, "password": person.password});
        let answer = self.visitor().post("/api/auth/login", body).await;
        Person::of(&self.visitor(), &person.name, &person.password, answer.ok(200))
    }

    /// As the operator does it beside the running server.
    pub(crate) async fn set_active(&self, person: &Person, active: bool) {
        let id: UserId = person.id.parse().unwrap();
        assert!(self.app.store.set_active(&id, active).await.unwrap());
    }
}

fn config(dir: &Path) -> Config {
    let token = |secret: &str, minutes: u64| TokenConfig {
        secret: Secret(secret.into()),
        lifetime: Duration::from_secs(minutes * 60),
    };
    let off = LimitConfig {
        max: 0,
        window: Duration::from_secs(900),
    };
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        environment: Environment::Test,
        data_dir: dir.into(),
        mongodb_uri: None,
        redis: None,
        access: token("the access secret of the tests of REST", 15),
        refresh: token("the refresh secret of the tests of REST", 60),
        request_limit: off,
        auth_limit: off,
        socket_limit: off,
        authenticate_within: Duration::from_secs(10),
        trusted_proxies: Vec::new(),
        cors: CorsConfig::Any,
        metrics_addr: None,
        metrics_token: None,
        log_level: LogLevel::Error,
        log_dir: None,
    }
}

/// `max` uses in a window that outlasts every test.
pub(crate) fn limit(max: u32) -> LimitConfig {
    LimitConfig {
        max,
        window: Duration::from_secs(900),
    }
}
