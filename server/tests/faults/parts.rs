//! A deployment of real parts: nodes that are processes of the server's own program, MongoDB, Redis, and the network between.

use std::time::Instant;

use chat_testcontainers::{Mongo, Node, Program, Proxy, Redis, unique_name};
use serde_json::Value;

use crate::person::PATIENCE;

/// Opens `/metrics` of the nodes.
const METRICS_TOKEN: &str = "opens-the-metrics-of-these-tests";

/// Lines of each node's log that a failure shows.
const LOGGED: usize = 20;

/// Nodes on one store.
pub(crate) struct Parts {
    pub(crate) nodes: Vec<Node>,
    databases: Option<Databases>,
}

struct Databases {
    mongo: Mongo,
    redis: Redis,
    /// What is between the first node and each of them.
    network: Network,
}

/// Healthy until a test says otherwise.
pub(crate) struct Network {
    pub(crate) mongo: Proxy,
    pub(crate) redis: Proxy,
}

impl Parts {
    /// One node on the embedded store.
    pub(crate) async fn embedded() -> Self {
        let node = Node::start(program()).await.unwrap();
        Self {
            nodes: vec![node],
            databases: None,
        }
    }

    /// Two nodes on a MongoDB and a Redis that are this test's own. Between the first node and both is a [`Network`].
    pub(crate) async fn of_two() -> Self {
        let (mongo, redis) = tokio::join!(Mongo::start(), Redis::start());
        let (mongo, redis) = (mongo.unwrap(), redis.unwrap());
        let network = Network {
            mongo: Proxy::start(mongo.address()).await.unwrap(),
            redis: Proxy::start(redis.address()).await.unwrap(),
        };
        let database = unique_name("faults");
        let near = program()
            .variable("MONGODB_URI", mongo.database_uri(&database))
            .variable("REDIS_URL", redis.url());
        let far = program()
            .variable(
                "MONGODB_URI",
                mongo.database_uri_through(network.mongo.address(), &database),
            )
            .variable("REDIS_URL", redis.url_through(network.redis.address()));
        // At once, as a deployment starts.
        let (one, two) = tokio::join!(Node::start(far), Node::start(near));
        Self {
            nodes: vec![one.unwrap(), two.unwrap()],
            databases: Some(Databases { mongo, redis, network }),
        }
    }

    pub(crate) fn mongo(&self) -> &Mongo {
        &self.databases.as_ref().unwrap().mongo
    }

    pub(crate) fn redis(&self) -> &Redis {
        &self.databases.as_ref().unwrap().redis
    }

    pub(crate) fn network(&self) -> &Network {
        &self.databases.as_ref().unwrap().network
    }

    pub(crate) fn url(&self, node: usize) -> &str {
        self.nodes[node].url()
    }

    /// Whether the node says that it is ready, and what it lacks.
    pub(crate) async fn ready(&self, node: usize) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("{}/ready", self.url(node))).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["degraded"].take())
    }

    /// Waits until it says so.
    pub(crate) async fn says(&self, node: usize, expected: (u16, Value)) {
        let began = Instant::now();
        loop {
            let said = self.ready(node).await;
            if said == expected {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "node {node} says {said:?} instead of {expected:?}"
            );
        }
    }

    /// Fails the test, with the end of what the nodes logged.
    pub(crate) async fn fail(&self, why: &str) -> ! {
        for (number, node) in self.nodes.iter().enumerate() {
            let logs = node.logs().await.unwrap();
            let lines: Vec<&str> = logs.lines().collect();
            println!(
                "node {number} logged:\n{}",
                lines[lines.len().saturating_sub(LOGGED)..].join("\n")
            );
        }
        panic!("{why}");
    }

    /// The memory of a node that is not shared with others, in MiB.
    pub(crate) fn memory(&self, node: usize) -> usize {
        let process = self.nodes[node].process_id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
    }

    /// A gauge or counter without labels.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> usize {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = http
            .get(format!("{}/metrics", self.url(node)))
            .bearer_auth(METRICS_TOKEN);
        let text = ask.send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
    }
}

/// Without limits, on a port and in a directory of its own, with nothing of what surrounds the tests.
fn program() -> Program {
    let mut program = Program::new(env!("CARGO_BIN_EXE_chat-server")).bare();
    let variables = [
        ("NODE_ENV", "test"),
        ("HOST", "127.0.0.1"),
        ("PORT", "{port}"),
        ("DATA_DIR", "{data}"),
        ("JWT_SECRET", "signs the access tokens of the tests of faults"),
        ("JWT_REFRESH_SECRET", "signs the refresh tokens of the tests of faults"),
        ("JWT_EXPIRES_IN", "2h"),
        ("RATE_LIMIT_MAX_REQUESTS", "0"),
        ("AUTH_RATE_LIMIT_MAX_REQUESTS", "0"),
        ("SOCKET_RATE_LIMIT_MAX_EVENTS", "0"),
        ("METRICS_TOKEN", METRICS_TOKEN),
        ("LOG_LEVEL", "warn"),
    ];
    for (name, value) in variables {
        program = program.variable(name, value);
    }
    program
}
