//! Real parts for the tests of a chat system: MongoDB, Redis, servers, and a bad network between them.
//!
//! | part | what it is | what can be done to it |
//! |---|---|---|
//! | [`Mongo`] | a replica set of one member | pause, kill, stop, restart on the same port and data, logs |
//! | [`Redis`] | one server | the same |
//! | [`Node`] | a server of any kind, a program or an image, by a small trait ([`Launch`]) | the same, and terminate |
//! | [`Proxy`] | TCP in front of any address | cut, heal, reset, delay, half open, bandwidth |
//!
//! A part is ready when a start returns: a majority write has been acknowledged, a PING answered, the server has said so.
//! Dropped, it is gone, and its data with it. It is gone as well when the test process ends otherwise, by Ctrl-C or SIGKILL:
//! a small shell beside it notices and cleans up. Tests run on Unix, and need `sh`.
//!
//! # Where MongoDB and Redis run
//!
//! `CHAT_TEST_BACKENDS` chooses:
//!
//! | value | |
//! |---|---|
//! | `docker` | in containers of the images `mongo:6.0.5` and `redis:7.0.15`; an error when no daemon answers |
//! | `native` | as processes: `mongod` and `redis-server` from `PATH`, else from the cache, else fetched (Debian on x86-64) |
//! | `auto`, or unset | Docker when a daemon answers, else native |
//!
//! Where no registry is reachable, `images/build.sh` of this crate makes both images under the same names; with
//! `--binaries` it only fetches the programs, which takes no Docker and no root. They go to `CHAT_TEST_CACHE`, by default
//! `~/.cache/chat-testcontainers`. With Docker, `docker` or `curl` must be in `PATH`, to remove what a killed test left.
//!
//! `CHAT_TEST_BACKENDS_RAN` may name a file: it gets a line for each start, `mongod docker` or `redis-server native`, so that
//! a script can tell afterwards what the tests really ran on.
//!
//! # Shared or owned
//!
//! [`Mongo::shared`] and [`Redis::shared`] give one instance to all tests of a run of `cargo test` or `cargo nextest`, over
//! all its processes; it is gone when the run is. Each test takes a database or a prefix of its own, by [`unique_name`].
//! A test that pauses, kills or stops starts its own: [`Mongo::start`], [`Redis::start`]; and one that stops MongoDB in the middle of
//! something, [`Mongo::start_with_fail_points`].
//!
//! # Example
//!
//! A server that must survive a crash of its database, with 200 ms more to the database, and a second crash of its own:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use chat_testcontainers::{Mongo, Node, Program, Proxy, Redis, unique_name};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Killed below, so it is this test's own; Redis can be everyone's.
//! let mongo = Mongo::start().await?;
//! let redis = Redis::shared().await?;
//! let network = Proxy::start(mongo.address()).await?;
//!
//! let server = Program::new("target/debug/chat-server")
//!     .arguments(["--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{data}"])
//!     .variable("MONGODB_URI", mongo.database_uri_through(network.address(), &unique_name("chat")))
//!     .variable("REDIS_URL", redis.url());
//! let node = Node::start(server).await?;
//! // … a client registers and sends through node.url() …
//!
//! mongo.kill().await?;
//! // … sends are refused now, and sockets stay …
//! mongo.restart().await?;
//! // … sends are acknowledged again …
//!
//! network.delay(Duration::from_millis(100));
//! // … every answer of the database takes 200 ms more …
//! network.heal();
//!
//! node.kill().await?;
//! node.restart().await?;
//! // … what was acknowledged is there …
//!
//! assert!(node.terminate().await?.success());
//! # Ok(())
//! # }
//! ```

#![cfg(unix)]
#![deny(missing_docs)]

mod backend;
mod docker;
mod error;
mod faults;
mod instance;
mod mongo;
mod node;
mod op_msg;
mod process;
mod proxy;
mod reaper;
mod redis;
mod runner;
mod running;
mod scratch;
mod sharing;

pub use self::backend::{BACKENDS, Backend};
pub use self::error::{Error, ErrorKind};
pub use self::mongo::Mongo;
pub use self::node::{Launch, Node, Place, Program, Ready};
pub use self::proxy::Proxy;
pub use self::redis::Redis;
pub use self::scratch::unique_name;
