//! The server as a test sees it.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chat_protocol::ErrorCode;
use chat_server::store::Store;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::network::Network;
use super::node::{Choices, Node, open_store};
use crate::{Backoff, Builder as ClientBuilder, Client, Error, ErrorKind, Result};

/// The password of every user that [`Server::client`] makes.
pub const PASSWORD: &str = "correct horse battery staple";

/// A real server with a store of its own, and a network in front of it that fails at will. Gone when dropped.
pub struct Server {
    network: Network,
    node: Mutex<Option<Node>>,
    /// The embedded one, which outlives the server.
    store: Option<Arc<dyn Store>>,
    choices: Choices,
    dir: TempDir,
}

/// What a server is to be like: await it to have it started.
#[derive(Debug, Clone)]
#[must_use = "nothing is started until this is awaited"]
pub struct Builder {
    choices: Choices,
}

impl Builder {
    /// How long an access token lives, so that a test sees it expire. Default: 15 minutes.
    pub fn access_tokens_live(mut self, time: Duration) -> Self {
        self.choices.access_lifetime = time;
        self
    }

    /// Requests of a user in 15 minutes. Default: no limit.
    pub fn request_limit(mut self, requests: u32) -> Self {
        self.choices.request_limit = requests;
        self
    }

    /// Logins, registrations and refreshes of an address in 15 minutes. Default: no limit.
    pub fn login_limit(mut self, logins: u32) -> Self {
        self.choices.login_limit = logins;
        self
    }

    /// Events of a user in 10 s. Default: no limit.
    pub fn event_limit(mut self, events: u32) -> Self {
        self.choices.event_limit = events;
        self
    }

    /// Keeps its data in this MongoDB (a replica set) instead of a directory of its own.
    pub fn mongodb(mut self, uri: impl Into<String>) -> Self {
        self.choices.mongodb = Some(uri.into());
        self
    }

    /// Joins the servers that have this Redis and this prefix; they need one MongoDB.
    pub fn redis(mut self, url: impl Into<String>, prefix: impl Into<String>) -> Self {
        self.choices.redis = Some((url.into(), prefix.into()));
        self
    }
}

impl IntoFuture for Builder {
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Server::with(self.choices))
    }
}

impl Server {
    /// Starts one without limits, and returns when it can be reached.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the system gives it no port, thread or directory.
    pub async fn start() -> Result<Self> {
        Self::builder().await
    }

    /// One with limits, or tokens that live shorter: await what is built.
    pub fn builder() -> Builder {
        let choices = Choices {
            access_lifetime: Duration::from_secs(900),
            request_limit: 0,
            login_limit: 0,
            event_limit: 0,
            mongodb: None,
            redis: None,
        };
        Builder { choices }
    }

    async fn with(choices: Choices) -> Result<Self> {
        let dir = TempDir::new().map_err(|error| no("directory", error))?;
        let store = match &choices.mongodb {
            Some(_) => None,
            None => Some(open_store(dir.path())?),
        };
        let node = Node::start(&choices, dir.path(), store.clone()).await?;
        let network = Network::start(node.address).await.map_err(|error| no("port", error))?;
        Ok(Self {
            network,
            node: Mutex::new(Some(node)),
            store,
            choices,
            dir,
        })
    }

    /// The user of this name, with a client: an account is made the first time. The same name again is another device.
    ///
    /// It reconnects sooner than clients do by default, so that tests of faults are quick.
    ///
    /// # Errors
    ///
    /// As [`register`](crate::Builder::register) and [`login`](crate::Builder::login).
    pub async fn client(&self, name: &str) -> Result<Client> {
        self.client_with(name, |builder| builder).await
    }

    /// As [`Self::client`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::client`].
    pub async fn client_with(&self, name: &str, settings: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client> {
        let soon = Backoff {
            first: Duration::from_millis(5),
            most: Duration::from_millis(200),
            budget: None,
        };
        let builder = || settings(Client::builder(self.url()).reconnect(soon));
        let email = format!("{}@example.org", name.to_lowercase());
        match builder().register(name, email, PASSWORD).await {
            Err(error) if error.is(&ErrorCode::UsernameTaken) => builder().login(name, PASSWORD).await,
            made => made,
        }
    }

    /// Its address, behind the network that fails at will. It stays the same when the server is killed and started again.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.network.address)
    }

    /// Its address without that network; until it is killed. `None` when it does not run.
    pub async fn direct_url(&self) -> Option<String> {
        let node = self.node.lock().await;
        node.as_ref().map(|node| format!("http://{}", node.address))
    }

    /// Closes every connection there is. New ones are taken.
    pub fn drop_connections(&self) {
        self.network.change(|weather| weather.age += 1);
    }

    /// Closes every connection there is, and every new one, until [`Self::heal`].
    pub fn cut(&self) {
        self.network.change(|weather| {
            weather.refuses = true;
            weather.age += 1;
        });
    }

    /// Delivers everything later by this much, in both directions, until [`Self::heal`].
    pub fn delay(&self, time: Duration) {
        self.network.change(|weather| weather.delay = time);
    }

    /// The network is well again.
    pub fn heal(&self) {
        self.network.change(|weather| {
            weather.refuses = false;
            weather.delay = Duration::ZERO;
        });
    }

    /// Ends the server as a power failure does: nobody is told, and what was acknowledged is kept.
    pub async fn kill(&self) {
        if let Some(node) = self.node.lock().await.take() {
            node.vanish();
        }
        self.network.change(|weather| {
            weather.upstream = None;
            weather.age += 1;
        });
    }

    /// Ends the server as a deploy does.
    pub async fn stop(&self) {
        if let Some(node) = self.node.lock().await.take() {
            node.depart().await;
        }
        self.network.change(|weather| {
            weather.upstream = None;
            weather.age += 1;
        });
    }

    /// Starts it after [`Self::kill`] or [`Self::stop`], with all that it had stored.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn restart(&self) -> Result<()> {
        let mut slot = self.node.lock().await;
        let node = Node::start(&self.choices, self.dir.path(), self.store.clone()).await?;
        let address = node.address;
        *slot = Some(node);
        self.network.change(|weather| weather.upstream = Some(address));
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

fn no(what: &'static str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("no {what} for a test server")).because(error)
}
