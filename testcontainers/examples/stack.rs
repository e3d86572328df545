//! Brings up MongoDB and Redis, and two nodes of a chat server when it is given one; prints where they are, until Ctrl-C.
//!
//! ```sh
//! cargo run -p chat-testcontainers --example stack
//! cargo run -p chat-testcontainers --example stack -- target/debug/chat-server --port {port} --data-dir {data}
//! ```
//!
//! `{port}` and `{data}` stand for the port and the directory of each node. The server finds the databases in MONGODB_URI
//! and REDIS_URL, and says `listening on URL` when it is ready. All is gone when this ends, in whatever way.

#![allow(clippy::print_stdout, reason = "it is what the example is for")]

use std::env::args_os;

use chat_testcontainers::{Error, Mongo, Node, Program, Redis, unique_name};

const NODES: usize = 2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mongo, redis) = tokio::try_join!(Mongo::start(), Redis::start())?;
    let database = mongo.database_uri(&unique_name("chat"));
    println!("MONGODB_URI={database}");
    println!("REDIS_URL={}", redis.url());
    let nodes = nodes(&database, &redis.url()).await?;
    for (number, node) in nodes.iter().enumerate() {
        println!("NODE_{}={}", number + 1, node.url());
    }
    println!("Ctrl-C ends it.");
    tokio::signal::ctrl_c().await?;
    // In good order, which dropping them would not be.
    for node in &nodes {
        println!("{}: {}", node.url(), node.terminate().await?);
    }
    Ok(())
}

async fn nodes(database: &str, redis: &str) -> Result<Vec<Node>, Error> {
    let mut arguments = args_os().skip(1);
    let Some(program) = arguments.next() else {
        return Ok(Vec::new());
    };
    let server = Program::new(program)
        .arguments(arguments)
        .variable("MONGODB_URI", database)
        .variable("REDIS_URL", redis);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Node::start(server.clone()).await?);
    }
    Ok(nodes)
}
