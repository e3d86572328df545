//! A real server for tests, in this process and on a free port, with users by name and faults at will.
//!
//! Needs the feature `testing`, which belongs among `[dev-dependencies]`.
//!
//! ```no_run
//! # async fn example() -> chat_client::Result<()> {
//! use chat_client::testing::Server;
//!
//! let server = Server::start().await?;
//! let (ann, bob) = (server.client("ann").await?, server.client("bob").await?);
//! let mut messages = bob.messages();
//! server.cut(); // the network fails, for both
//! let sent = ann.send(bob.user_id(), "hello").queue()?;
//! server.heal();
//! sent.await?;
//! assert_eq!(messages.next().await.map(|message| message.content).as_deref(), Some("hello"));
//! # Ok(())
//! # }
//! ```

mod network;
mod node;
mod server;

pub use server::{Builder, PASSWORD, Server};
