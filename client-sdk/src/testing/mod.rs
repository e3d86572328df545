//! A real server for tests, in this process and on a free port, with users by name and faults at will.
//!
//! Needs the feature `testing`, which belongs among `[dev-dependencies]`.
//!
//! ```no_run
//! # async fn example() -> chat_client::Result<()> {
//! use chat_client::testing::Server;
//!
//! let server = Server::start().await?;
//! println!("{}", server.url());
//! # Ok(())
//! # }
//! ```

mod network;
mod node;
mod server;

pub use server::{Builder, Server};
