//! Redis: one `redis-server`.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::backend::Backend;
use crate::error::Error;
use crate::instance::{Instance, Life, Service, connect};
use crate::sharing;

/// A Redis 7.0.
///
/// One that [was started](Redis::start) is the test's own and is removed when this is dropped, or when the test process
/// ends in whatever way; what was written to it survives [`Redis::kill`] and [`Redis::restart`]. A [shared](Redis::shared)
/// one belongs to the whole run: put a [`unique_name`](crate::unique_name) before your keys and channels.
#[derive(Debug)]
pub struct Redis {
    instance: Instance,
}

struct RedisServer;

impl Redis {
    /// The instance that all tests of this run share; as [`Mongo::shared`](crate::Mongo::shared).
    ///
    /// # Errors
    ///
    /// As [`Mongo::shared`](crate::Mongo::shared).
    pub async fn shared() -> Result<Self, Error> {
        let instance = sharing::attach::<RedisServer>().await?;
        Ok(Self { instance })
    }

    /// A new instance for this test alone, on the backend of `CHAT_TEST_BACKENDS`.
    ///
    /// # Errors
    ///
    /// Those of [`Backend::from_env`] and [`Redis::start_on`].
    pub async fn start() -> Result<Self, Error> {
        Self::start_on(Backend::from_env().await?).await
    }

    /// A new instance for this test alone, on a backend of its choice.
    ///
    /// # Errors
    ///
    /// As [`Mongo::start_on`](crate::Mongo::start_on), for `redis-server`.
    pub async fn start_on(backend: Backend) -> Result<Self, Error> {
        let instance = Instance::start::<RedisServer>(backend, Life::Owned).await?;
        Ok(Self { instance })
    }

    /// A URL to connect with: `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.address())
    }

    /// A URL that reaches it through something in front, such as a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_through(&self, front: SocketAddr) -> String {
        format!("redis://{front}/")
    }

    /// Where it listens. It stays the same over [`Redis::restart`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.instance.address()
    }

    /// Where it runs.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.instance.backend()
    }
}

impl Service for RedisServer {
    const PROGRAM: &'static str = "redis-server";
    const IMAGE: &'static str = "redis:7.0.15";
    const DATA: &'static str = "/data";

    fn arguments(port: u16, life: Life) -> Vec<String> {
        let port = port.to_string();
        let mut arguments: Vec<_> = ["--port", &port, "--save", ""].map(Into::into).into();
        // What is appended is handed to the system before the answer goes out: all that a killed process needs. Only the
        // loss of the machine would need fsync.
        let kept: &[_] = match life {
            Life::Owned | Life::OnDisk | Life::FailPoints => &["--appendonly", "yes", "--appendfsync", "no"],
            Life::Shared => &["--appendonly", "no"],
        };
        arguments.extend(kept.iter().map(|&argument| argument.into()));
        arguments
    }

    fn native_arguments(data: &Path) -> Vec<String> {
        let data = data.to_string_lossy();
        ["--bind", "127.0.0.1", "--dir", &data].map(Into::into).into()
    }

    async fn ready(address: SocketAddr) -> Result<(), String> {
        let mut stream = connect(address).await?;
        let ping = async {
            stream.write_all(b"PING\r\n").await?;
            // "-LOADING …" while it reads its data is longer and is an answer too.
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        match ping.await {
            Ok(answer) if answer == *b"+PONG\r\n" => Ok(()),
            Ok(answer) => Err(format!("it answers {}…", String::from_utf8_lossy(&answer))),
            Err(error) => Err(error.to_string()),
        }
    }
}

crate::faults::faults!(Redis, RedisServer, "a restart reads its append-only file");
