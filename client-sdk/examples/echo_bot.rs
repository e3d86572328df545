//! A bot that answers everybody with their own words, and misses nothing between two runs: it keeps its session and how far it
//! has read in a directory. `cargo run --example echo_bot -- http://localhost:3000 bot "its password" ./bot`
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

use std::path::Path;

use chat_client::state::TypingSignal;
use chat_client::{Client, ErrorKind, FileTokens, Position, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, password, dir] = arguments
        .try_into()
        .expect("an address, a name, a password, a directory");
    let position_file = Path::new(&dir).join("position.json");
    std::fs::create_dir_all(&dir).expect("a directory that can be made");

    let builder = || {
        let builder = Client::builder(&address).token_store(FileTokens::new(Path::new(&dir).join("tokens.json")));
        match read(&position_file) {
            Some(position) => builder.position(position),
            None => builder,
        }
    };
    let chat = match builder().resume().await {
        Err(error) if error.kind() == ErrorKind::SessionEnded => builder().login(name, password).await?,
        resumed => resumed?,
    };
    let mut messages = chat.messages();
    println!("ready");
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(message) = message else { break };
        let typing = TypingSignal::new(&chat, &message.sender);
        typing.key();
        chat.mark_read([message.id.clone()]).await?;
        // A refusal, because the sender is gone for example, is no reason to end.
        if let Err(error) = chat.send(&message.sender, message.content).await
            && error.kind() != ErrorKind::Refused
        {
            return Err(error);
        }
        // Dealt with. A crash before this line answers the message a second time after the restart, but never not at all.
        let json = serde_json::to_vec(&messages.position()).expect("a position is JSON");
        std::fs::write(&position_file, json).expect("a file that can be written");
    }
    chat.shutdown().await;
    Ok(())
}

fn read(file: &Path) -> Option<Position> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}
