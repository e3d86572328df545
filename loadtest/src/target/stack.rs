//! MongoDB, Redis and nodes of the reference server, of our own.

use std::path::PathBuf;

use chat_testcontainers::{Backend, Mongo, Node, Program, Redis, unique_name};
use url::Url;

use super::launch::{SERVE, SETTINGS};

/// Parts that run until this is dropped.
#[derive(Debug)]
pub struct Stack {
    nodes: Vec<Node>,
    mongo: Mongo,
    _redis: Option<Redis>,
    /// Opens `/metrics` at every node.
    pub metrics_token: String,
}

/// A part did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error(transparent)]
    Part(#[from] chat_testcontainers::Error),
    #[error("this program cannot be found, to become the server: {0}")]
    Program(#[from] std::io::Error),
    #[error("a node said an address that is none")]
    Address,
}

/// MongoDB on a disk and so many nodes on it, joined by Redis when they are several.
///
/// # Errors
///
/// When a part cannot be started, as chat-testcontainers says it.
pub async fn bring_up(nodes: usize) -> Result<Stack, StackError> {
    let backend = Backend::from_env().await?;
    let program = std::env::current_exe()?;
    // What durable writes cost is part of what is measured.
    let mongo = Mongo::start_on_disk(backend).await?;
    let redis = match nodes {
        0 | 1 => None,
        _ => Some(Redis::start_on(backend).await?),
    };
    let secret = || format!("{:032x}", rand::random::<u128>());
    let (metrics_token, access, refresh) = (secret(), secret(), secret());
    let mut server = server(program)
        .variable("MONGODB_URI", mongo.database_uri(&unique_name("load")))
        .variable("METRICS_TOKEN", &metrics_token)
        .variable("JWT_SECRET", &access)
        .variable("JWT_REFRESH_SECRET", &refresh);
    if let Some(redis) = &redis {
        server = server.variable("REDIS_URL", redis.url());
    }
    let mut running = Vec::new();
    for _ in 0..nodes.max(1) {
        running.push(Node::start(server.clone()).await?);
    }
    Ok(Stack {
        nodes: running,
        mongo,
        _redis: redis,
        metrics_token,
    })
}

fn server(program: PathBuf) -> Program {
    Program::new(program)
        .arguments([SERVE, "--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{data}"])
        .arguments(["--env-file", "/nonexistent"])
        .arguments(SETTINGS.iter().flat_map(|(name, value)| [*name, *value]))
        .bare()
}

impl Stack {
    /// # Errors
    ///
    /// When a node's address is none.
    pub fn urls(&self) -> Result<Vec<Url>, StackError> {
        let urls = self.nodes.iter().map(|node| node.url().parse());
        urls.collect::<Result<_, _>>().map_err(|_| StackError::Address)
    }

    /// Of the nodes that are processes of this machine.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(Node::process_id).collect()
    }

    /// Of MongoDB, where that is a process of this machine.
    #[must_use]
    pub fn databases(&self) -> Vec<u32> {
        self.mongo.process_id().into_iter().collect()
    }
}
