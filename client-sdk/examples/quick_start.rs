//! Logs in, prints what arrives, answers: `cargo run --example quick_start -- http://localhost:3000 ann "her password"`
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

use chat_client::{Client, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, password] = arguments.try_into().expect("an address, a name and a password");
    let chat = Client::builder(address).login(name, password).await?;
    let mut messages = chat.messages();
    println!("ready");
    while let Some(message) = messages.next().await {
        println!("{}: {}", message.sender, message.content);
        chat.send(&message.sender, "Thank you for your message.").await?;
    }
    Ok(())
}
