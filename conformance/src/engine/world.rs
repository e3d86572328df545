//! What a case has at hand: the target, its own users, and the means to judge.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_spec::{Requirement, req};
use jsonschema::Validator;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use super::pulse::Pulse;
use super::transcript::{Party, What};
use super::{Answer, Device, Failure, Stop, Tally, Transcript};
use crate::launch::Launcher;

/// How long an answer or an event may take before it counts as missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// How long a connection without requests is used again: below the 5 s after which the servers of some languages close it, for a
/// request that meets the close gets no answer.
const IDLE_AT_MOST: Duration = Duration::from_secs(2);

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
    /// Starts further servers of the same kind, with other settings. `None`: the target is somebody else's.
    pub launcher: Option<Launcher>,
    pub(super) pulse: Pulse,
    validators: Arc<HashMap<&'static str, Validator>>,
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
            launcher,
            pulse: Pulse::default(),
            validators: Arc::new(validators),
        })))
    }

    /// The same for servers elsewhere, at least one.
    pub fn beside(&self, nodes: &[&str], launcher: Option<Launcher>) -> Self {
        let nodes: Vec<String> = nodes.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Self(Arc::new(TargetParts {
            base: nodes.first().unwrap_or(&self.base).clone(),
            nodes,
            http: self.http.clone(),
            unpooled: self.unpooled.clone(),
            launcher,
            pulse: Pulse::default(),
            validators: self.validators.clone(),
        }))
    }

    /// What to ask this server with.
    pub(super) fn http_of(&self, base: &str) -> &reqwest::Client {
        match self.nodes.iter().any(|node| node == base) {
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
        format!("the HTTP client: {why} (for an https target the machine needs its CA certificates: ca-certificates)")
    })
}

impl Deref for Target {
    type Target = TargetParts;

    fn deref(&self) -> &TargetParts {
        &self.0
    }
}

/// One case's world. Cheap to clone.
#[derive(Clone)]
pub struct World(Arc<WorldParts>);

pub struct WorldParts {
    pub target: Target,
    pub transcript: Transcript,
    seed: u64,
    tally: Mutex<Tally>,
    /// Counts exchanges and devices.
    numbers: AtomicU64,
    users: AtomicUsize,
    people: Mutex<People>,
}

/// What users of the case are called, and how many devices they have had.
#[derive(Default)]
struct People {
    labels: HashMap<String, String>,
    roles: HashMap<String, usize>,
    devices: HashMap<String, usize>,
}

impl Deref for World {
    type Target = WorldParts;

    fn deref(&self) -> &WorldParts {
        &self.0
    }
}

impl World {
    /// `seed` decides whatever the case leaves to chance.
    pub fn new(target: Target, seed: u64) -> Self {
        Self(Arc::new(WorldParts {
            target,
            transcript: Transcript::default(),
            seed,
            tally: Mutex::default(),
            numbers: AtomicU64::new(1),
            users: AtomicUsize::new(0),
            people: Mutex::default(),
        }))
    }

    /// Made of the seed of the run and the name of the case: the same case of the same run decides the same again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chance that comes out the same with the same seed. Names that must be new in every run are not made of it.
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The node for the next user.
    pub(super) fn next_node(&self) -> String {
        let nodes = &self.target.nodes;
        let turn = self.users.fetch_add(1, Ordering::Relaxed);
        nodes.get(turn % nodes.len()).cloned().unwrap_or_default()
    }

    /// Where another device of somebody at `base` is connected: devices are spread over the nodes as users are.
    pub(super) fn node_of_device(&self, base: &str, number: usize) -> String {
        let nodes = &self.target.nodes;
        let place = nodes.iter().position(|node| node == base);
        place
            .and_then(|place| nodes.get((place + number) % nodes.len()))
            .map_or_else(|| base.to_owned(), Clone::clone)
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers under which name reports show a user: `ann`, and `ann'2` for a second one of the role.
    pub(super) fn introduce(&self, role: &str, username: &str) {
        let mut people = self.people();
        let count = people.roles.entry(role.to_owned()).or_default();
        *count += 1;
        let label = if *count == 1 {
            role.to_owned()
        } else {
            format!("{role}'{count}")
        };
        people.labels.insert(username.to_owned(), label);
    }

    /// A user as reports show it.
    pub(super) fn party(&self, username: &str, id: &str) -> Party {
        let label = self.people().labels.get(username).cloned();
        Party {
            label: label.as_deref().unwrap_or(username).into(),
            user: Some(id.into()),
            device: None,
        }
    }

    /// A further device of this user, and how many came before it.
    pub(super) fn device_of(&self, owner: &Party) -> (Party, usize) {
        let mut people = self.people();
        let count = people.devices.entry(owner.label.to_string()).or_default();
        *count += 1;
        let party = Party {
            label: format!("{}#{count}", owner.label).into(),
            user: owner.user.clone(),
            device: Some(self.number()),
        };
        (party, *count - 1)
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges: `pass` says whether the requirement holds here.
    pub fn check(
        &self,
        requirement: &'static Requirement,
        pass: bool,
        expected: impl Display,
        got: impl Display,
    ) -> bool {
        let mut tally = self.tally();
        if pass {
            *tally.passed.entry(requirement.id).or_default() += 1;
        } else {
            let (expected, got) = (expected.to_string(), got.to_string());
            let what = What::Failed {
                requirement,
                expected: expected.clone(),
                got: got.clone(),
            };
            self.transcript.add(&Party::guest(), &Arc::default(), what);
            tally.failures.push(Failure {
                requirement,
                expected,
                got,
                seen: self.transcript.len(),
            });
        }
        pass
    }

    /// Judges, and ends the case when the requirement does not hold.
    pub fn need(
        &self,
        requirement: &'static Requirement,
        pass: bool,
        expected: impl Display,
        got: impl Display,
    ) -> Result<(), Stop> {
        if self.check(requirement, pass, expected, got) {
            Ok(())
        } else {
            Err(Stop::Judged)
        }
    }

    /// Judges that two values are equal.
    pub fn equal(
        &self,
        requirement: &'static Requirement,
        what: &str,
        expected: impl Into<Value>,
        got: impl Into<Value>,
    ) -> bool {
        let (expected, got) = (expected.into(), got.into());
        let pass = expected == got;
        self.check(requirement, pass, format!("{what} = {expected}"), got)
    }

    /// Judges that a value has the shape of a schema.
    pub fn shaped(&self, requirement: &'static Requirement, schema: &str, value: &Value) -> bool {
        let wrong = self.wrong_shape(schema, value);
        self.check(
            requirement,
            wrong.is_none(),
            format!("the shape {schema}"),
            wrong.unwrap_or_default(),
        )
    }

    /// What is wrong with the shape of a value, if anything.
    pub(super) fn wrong_shape(&self, schema: &str, value: &Value) -> Option<String> {
        let Some(validator) = self.target.validators.get(schema) else {
            return Some(format!("(there is no schema {schema})"));
        };
        let wrong: Vec<String> = (validator.iter_errors(value).take(3))
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.masked().to_string(),
                path => format!("{path}: {}", error.masked()),
            })
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// Judges a success: status and the shape of the body. Ends the case otherwise.
    pub fn success(
        &self,
        requirement: &'static Requirement,
        answer: &Answer,
        status: u16,
        schema: Option<&str>,
    ) -> Result<(), Stop> {
        let got = format!("{} {}", answer.status, answer.code());
        self.need(requirement, answer.status == status, format!("status {status}"), got)?;
        if let Some(schema) = schema {
            let wrong = self.wrong_shape(schema, &answer.body);
            self.need(
                requirement,
                wrong.is_none(),
                format!("a body of shape {schema}"),
                wrong.unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    /// Judges a refusal: status and code. Its shape is judged wherever an error comes.
    pub fn refused(&self, requirement: &'static Requirement, answer: &Answer, status: u16, code: &str) -> bool {
        let pass = answer.status == status && answer.code() == code;
        self.check(
            requirement,
            pass,
            format!("{status} {code}"),
            format!("{} {}", answer.status, answer.code()),
        )
    }

    /// Judges a `VALIDATION_ERROR` with a detail for each of these fields.
    pub fn invalid(&self, requirement: &'static Requirement, answer: &Answer, fields: &[&str]) -> bool {
        let details = answer.details();
        let pass = answer.status == 400
            && answer.code() == "VALIDATION_ERROR"
            && fields.iter().all(|field| details.contains(field));
        let got = format!("{} {} {details:?}", answer.status, answer.code());
        self.check(requirement, pass, format!("400 VALIDATION_ERROR on {fields:?}"), got)
    }

    /// Judges a refusing ack.
    pub fn refused_ack(&self, requirement: &'static Requirement, ack: &Value, code: &str) -> bool {
        self.shaped(&req::ERRORS_SHAPE_ACK, "FailedAck", ack);
        let got = ack["error"]["code"].as_str().unwrap_or_default();
        self.check(
            requirement,
            ack["ok"] == false && got == code,
            format!("ok false, {code}"),
            ack,
        )
    }

    /// Judges that an event arrives at a device and has its shape. Ends the case otherwise.
    pub async fn arrives(
        &self,
        requirement: &'static Requirement,
        device: &Device,
        event: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, Stop> {
        let Some(payload) = device.take(event, fits).await else {
            let got = format!("{}; seen: {}", device.state(), device.names());
            self.need(requirement, false, format!("{event} at {}", device.label()), got)?;
            return Err(Stop::Judged);
        };
        self.check(requirement, true, "", "");
        if event == "error" {
            self.shaped(&req::ERRORS_SHAPE_EVENT, "Error", &payload);
        } else {
            let words = event.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            let wrong = self.wrong_shape(&format!("{}Event", words.collect::<String>()), &payload);
            self.check(
                requirement,
                wrong.is_none(),
                format!("the payload of {event}"),
                wrong.unwrap_or_default(),
            );
        }
        Ok(payload)
    }

    /// Judges that nothing of a kind came to a device before a message that was sent later. The sender is any other user.
    pub async fn absent(
        &self,
        requirement: &'static Requirement,
        device: &Device,
        sender: &super::User,
        what: &str,
        fits: impl Fn(&str, &Value) -> bool,
    ) -> Result<(), Stop> {
        let mark = format!("fence {}", rand::random::<u64>());
        sender.must_send(device.owner(), &mark).await?;
        device
            .must_take("new_message", |payload| payload["content"] == mark.as_str())
            .await?;
        let found = device.find(&fits);
        let got = found
            .as_ref()
            .map(|(name, payload)| format!("{name} {payload}"))
            .unwrap_or_default();
        self.check(
            requirement,
            found.is_none(),
            format!("no {what} at {}", device.label()),
            got,
        );
        Ok(())
    }

    /// Starts further servers, or ends the case: somebody else's server cannot be started anew.
    pub fn launcher(&self) -> Result<&Launcher, Stop> {
        let missing = || Stop::NotApplicable("needs a server with settings of its own".into());
        self.target.launcher.as_ref().ok_or_else(missing)
    }

    pub(super) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

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
