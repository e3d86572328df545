//! The server that is judged, and what is known of it.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chat_spec::Profile;
use jsonschema::Validator;
use serde_json::Value;

use super::Limits;
use super::pace::Pace;
use super::pulse::Pulse;
use super::sockets::Sockets;
use super::transcript::{AllSecrets, Secrets};
use crate::launch::{Commands, Launcher};

/// How long a connection without requests is used again: below the 5 s after which the servers of some languages close it, for a
/// request that meets the close gets no answer.
const IDLE_AT_MOST: Duration = Duration::from_secs(2);

const NO_CERTIFICATES: &str = "(for an https target the machine needs its CA certificates: ca-certificates)";

/// The server that is judged: one node, or several that share what they keep.
#[derive(Clone)]
pub struct Target(Arc<TargetParts>);

pub struct TargetParts {
    /// The first node, without a slash at the end.
    pub base: String,
    /// Every node; the users of a case are spread over them.
    pub nodes: Vec<String>,
    /// For the nodes: connections are used again.
    pub http: reqwest::Client,
    /// For servers that cases start: each request has its own connection, for they are killed and started again, and one to
    /// the killed server may look open for a while.
    unpooled: reqwest::Client,
    /// For all of them.
    pub(crate) sockets: Sockets,
    /// Starts further servers of the same kind, with other settings. `None`: the target is somebody else's.
    pub launcher: Option<Launcher>,
    /// End the target itself and start it again, when it is somebody else's.
    pub commands: Option<Commands>,
    /// A case has killed it: what looks like an open connection may lead to nobody.
    killed: AtomicBool,
    /// Held while it is killed and started again; why that failed, if it did.
    restart: tokio::sync::Mutex<Option<String>>,
    /// What servers gave out and nobody but their owners should see.
    secrets: Mutex<Vec<Secrets>>,
    /// What it claims; everything until somebody says so.
    claims: OnceLock<BTreeSet<Profile>>,
    /// An origin whose pages may call it, when somebody said so.
    origin: OnceLock<String>,
    /// What its operator deactivates an account by, when somebody said so.
    deactivation: OnceLock<Vec<String>>,
    /// What it allows, as far as somebody said so.
    pub limits: Limits,
    pub(super) pace: Pace,
    pub(super) pulse: Pulse,
    pub(super) validators: Arc<HashMap<&'static str, Validator>>,
}

impl Target {
    /// One node.
    ///
    /// # Errors
    ///
    /// When the schemas or the HTTP client cannot be made ready.
    pub fn new(base: &str, launcher: Option<Launcher>) -> Result<Self, String> {
        Self::of_nodes(&[base], launcher)
    }

    /// Several nodes of one deployment.
    ///
    /// # Errors
    ///
    /// As [`Target::new`]; and when there is no node.
    pub fn of_nodes(nodes: &[&str], launcher: Option<Launcher>) -> Result<Self, String> {
        Self::with(nodes, launcher, None, Limits::default())
    }

    /// Several nodes that keep these limits, and what ends and starts them.
    ///
    /// # Errors
    ///
    /// As [`Target::of_nodes`].
    pub fn with(
        nodes: &[&str],
        launcher: Option<Launcher>,
        commands: Option<Commands>,
        limits: Limits,
    ) -> Result<Self, String> {
        let mut validators = HashMap::new();
        for name in chat_spec::schema_names() {
            let text = chat_spec::schema(name).unwrap_or("{}");
            let schema: Value = serde_json::from_str(text).map_err(|error| format!("schema {name}: {error}"))?;
            let validator = jsonschema::validator_for(&schema).map_err(|error| format!("schema {name}: {error}"))?;
            validators.insert(name, validator);
        }
        let secure = nodes.iter().any(|base| base.starts_with("https"));
        let nodes: Vec<String> = nodes.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Ok(Self(Arc::new(TargetParts {
            base: nodes.first().ok_or("a target without a node")?.clone(),
            nodes,
            http: http_client(secure, usize::MAX)?,
            unpooled: http_client(secure, 0)?,
            sockets: Sockets::new(secure).map_err(|why| format!("the sockets: {why} {NO_CERTIFICATES}"))?,
            launcher,
            commands,
            killed: AtomicBool::new(false),
            restart: tokio::sync::Mutex::default(),
            secrets: Mutex::default(),
            claims: OnceLock::new(),
            origin: OnceLock::new(),
            deactivation: OnceLock::new(),
            pace: Pace::of(&limits),
            limits,
            pulse: Pulse::default(),
            validators: Arc::new(validators),
        })))
    }

    /// Says what it claims, once.
    pub fn claim(&self, profiles: &BTreeSet<Profile>) {
        self.claims.get_or_init(|| profiles.clone());
    }

    /// Whether it claims a profile: nothing else judges by what only that one promises.
    pub fn claims(&self, profile: Profile) -> bool {
        self.claims.get().is_none_or(|claims| claims.contains(&profile))
    }

    /// Says from which origin pages may call it, once.
    pub fn allow_origin(&self, origin: &str) {
        self.origin.get_or_init(|| origin.to_owned());
    }

    /// Says by which program its operator deactivates an account, once.
    pub fn deactivate_by(&self, command: &[String]) {
        self.deactivation.get_or_init(|| command.to_vec());
    }

    /// The program by which its operator deactivates an account, where one is known; `{username}` in it stands for the account.
    pub fn deactivation(&self) -> Option<&[String]> {
        self.deactivation.get().map(Vec::as_slice)
    }

    /// An origin whose pages may call it, where one is known.
    pub fn allowed_origin(&self) -> Option<&str> {
        let said = self.origin.get().map(String::as_str);
        said.or_else(|| self.launcher.as_ref()?.allowed_origin())
    }

    /// The same for servers elsewhere, at least one.
    pub fn beside(&self, nodes: &[&str], launcher: Option<Launcher>) -> Self {
        let nodes: Vec<String> = nodes.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Self(Arc::new(TargetParts {
            base: nodes.first().unwrap_or(&self.base).clone(),
            nodes,
            http: self.http.clone(),
            unpooled: self.unpooled.clone(),
            sockets: self.sockets.clone(),
            launcher,
            commands: None,
            killed: AtomicBool::new(false),
            restart: tokio::sync::Mutex::default(),
            secrets: Mutex::default(),
            claims: self.claims.clone(),
            origin: self.origin.clone(),
            deactivation: self.deactivation.clone(),
            pace: Pace::default(),
            limits: Limits::default(),
            pulse: Pulse::default(),
            validators: self.validators.clone(),
        }))
    }

    /// Does what kills it and starts it again, to its end also when the case does not wait for that: nobody's server is left dead.
    /// From now on no connection to it is used again.
    ///
    /// # Errors
    ///
    /// Why it failed, then and ever after.
    pub(crate) async fn while_killed<F>(&self, restart: impl FnOnce(Self) -> F) -> Result<(), String>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.killed.store(true, Ordering::Relaxed);
        let restarting = restart(self.clone());
        let target = self.clone();
        let task = tokio::spawn(async move {
            let mut failed = target.restart.lock().await;
            if let Some(why) = &*failed {
                return Err(why.clone());
            }
            let done = restarting.await;
            *failed = done.as_ref().err().cloned();
            done
        });
        task.await.map_err(|error| error.to_string())?
    }

    /// Waits until it is not being started again any more. Says why it could not be: then it is not the target that failed.
    pub(crate) async fn restarted(&self) -> Result<(), String> {
        match &*self.restart.lock().await {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Remembers secrets for whoever shows logs.
    pub(super) fn learn(&self, secrets: &Secrets) {
        self.known_secrets().push(secrets.clone());
    }

    /// What no log should show: the secrets of all cases, also of those that were ended, and what servers were started with.
    ///
    /// # Errors
    ///
    /// When there are too many.
    pub fn all_secrets(&self) -> Result<AllSecrets, String> {
        let given = self.launcher.as_ref().map(Launcher::secrets).unwrap_or_default();
        AllSecrets::of(self.known_secrets().iter(), &given)
    }

    fn known_secrets(&self) -> MutexGuard<'_, Vec<Secrets>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the base URL of one of its nodes.
    pub(super) fn has_node(&self, base: &str) -> bool {
        self.nodes.iter().any(|node| node == base)
    }

    /// What to ask this server with.
    pub(crate) fn http_of(&self, base: &str) -> &reqwest::Client {
        let lives = !self.killed.load(Ordering::Relaxed);
        match lives && self.has_node(base) {
            true => &self.http,
            false => &self.unpooled,
        }
    }
}

fn http_client(secure: bool, most_idle: usize) -> Result<reqwest::Client, String> {
    let client = (reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy())
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(most_idle)
        .pool_idle_timeout(IDLE_AT_MOST);
    // A small image has no certificates to read, and none are needed.
    let client = match secure {
        true => client,
        false => client.tls_certs_only([]),
    };
    client.build().map_err(|error| {
        let why = super::http::because(&error);
        format!("the HTTP client: {why} {NO_CERTIFICATES}")
    })
}

impl Deref for Target {
    type Target = TargetParts;

    fn deref(&self) -> &TargetParts {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::engine::World;

    /// Answers the first request of every connection and ends without an answer at the second, as a killed server seems to.
    async fn once_each(mut connection: TcpStream) {
        let mut request = [0; 4096];
        if connection.read(&mut request).await.is_ok_and(|length| length > 0) {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            connection.write_all(answer).await.unwrap();
            let _ = connection.read(&mut request).await; // The client may have gone.
        }
    }

    #[tokio::test]
    async fn what_is_asked_of_a_server_of_a_case_goes_over_no_connection_of_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(once_each(connection));
            }
        });
        let target = Target::new("http://127.0.0.1:1", None).unwrap();
        let world = World::new(target, 1);
        for _ in 0..5 {
            let answer = world.request_to(&base, "GET", "/health").send().await.unwrap();
            assert_eq!(answer.status, 200);
        }
        let judged = World::new(Target::new(&base, None).unwrap(), 1);
        judged
            .request("GET", "/health")
            .send()
            .await
            .unwrap()
            .succeeded()
            .unwrap();
        let again = judged.request("GET", "/health").send().await;
        assert!(again.is_err(), "connections of the target are used again: {again:?}");
    }
}
