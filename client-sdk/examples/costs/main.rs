//! What the SDK costs, side by side in one run: CPU of messages, catch-up after a restart of the server, memory of idle
//! connections or clients; and, beside `rust_socketio`, echoes and whose acks are whose.
//!
//! `cargo run --release --example costs -- [idle ones [messages]]` starts a server of its own. `RIVAL=path` names the program
//! `echo` of `server/tests/interop/rust`, built by `cargo build --release --bin echo` there. Linux only.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

mod catch_up;
mod echo;
mod idle;
mod people;
mod process;
mod server;
mod streams;

use std::process::ExitCode;

use chat_client::Result;

/// Who write to each other, in pairs.
const PAIRS: usize = 16;

fn main() -> ExitCode {
    if let Some(ended) = server::become_it() {
        return ended;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measured = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [idle::WEIGH, what, address, number] => runtime.block_on(idle::weigh(what, address, amount(number))),
        [] => runtime.block_on(measure(5_000, 100_000)),
        [idle] => runtime.block_on(measure(amount(idle), 100_000)),
        [idle, messages, ..] => runtime.block_on(measure(amount(idle), amount(messages))),
    };
    measured.expect("a server that answers");
    ExitCode::SUCCESS
}

async fn measure(idle: usize, messages: usize) -> Result<()> {
    let server = server::start().await;
    let place = people::Place::at(server.url());
    let people = place.people(2 * PAIRS).await?;
    for _ in 0..2 {
        streams::by_connections(&place, &people, messages).await?;
        streams::by_clients(&place, &people, messages).await?;
    }
    echo::beside_the_rival(&place, &people, messages / 5).await?;
    catch_up::after_a_restart(&place, &server, &people).await?;
    for what in idle::BOTH {
        idle::weigh_apart(what, server.url(), idle).await;
    }
    Ok(())
}

fn amount(text: &str) -> usize {
    text.parse().expect("a number")
}
