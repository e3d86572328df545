//! A server of its own for each test, in this process, on a free port.

use std::time::Duration;

use chat_protocol::UserId;
use chat_server::app::App;
use chat_server::config::{Config, LimitConfig};
use chat_server::serve::{Listeners, serve};
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::config;
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
        let mut config = config::of_tests(dir.path());
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

/// `max` uses in a window that outlasts every test.
pub(crate) fn limit(max: u32) -> LimitConfig {
    LimitConfig {
        max,
        window: Duration::from_secs(900),
    }
}
