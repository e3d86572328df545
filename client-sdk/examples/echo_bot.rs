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

    let position = Position::load(&position_file).await?;
    let builder = || {
        Client::builder(&address)
            .token_store(FileTokens::new(Path::new(&dir).join("tokens.json")))
            .position(position.clone())
    };
    let chat = match builder().resume().await {
        Err(error) if error.kind() == ErrorKind::SessionEnded => builder().login(name, password).await?,
        resumed => resumed?,
    };
    let mut messages = chat.messages();
    // From now on nothing is missed, even if it ends before the first message.
    messages.position().save(&position_file).await?;
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
        messages.position().save(&position_file).await?;
    }
    chat.shutdown().await;
    Ok(())
}
