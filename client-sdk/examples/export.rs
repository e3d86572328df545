//! Writes every message of every chat to a file, as JSON lines, and shows how far it is.
//! `cargo run --example export -- http://localhost:3000 ann "her password" history.jsonl`
#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example")]

use std::fs::File;
use std::io::{BufWriter, Write as _};

use chat_client::{Client, Result};
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, password, path] = arguments.try_into().expect("an address, a name, a password, a file");
    // Only requests are made: no connection, and nothing to be told.
    let chat = Client::builder(address)
        .without_realtime()
        .login(name, password)
        .await?;
    let chats: Vec<_> = chat.chats().limit(100).into_stream().try_collect().await?;
    let total = chats.iter().filter_map(|chat| chat.last_message.seq).sum();
    let progress = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} messages, {eta} left");
    progress.set_style(style.expect("a good template"));

    let mut file = BufWriter::new(File::create(path).expect("a file that can be made"));
    let mut written = 0_u64;
    for found in chats {
        let Some(peer) = found.participants.iter().find(|user| user.id != *chat.user_id()) else {
            continue;
        };
        let mut messages = chat.history(&peer.id).after(0).limit(100).into_stream();
        while let Some(message) = messages.try_next().await? {
            serde_json::to_writer(&mut file, &message).expect("a file that can be written");
            file.write_all(b"\n").expect("a file that can be written");
            written += 1;
            progress.inc(1);
        }
    }
    file.flush().expect("a file that can be written");
    progress.finish();
    println!("{written} messages");
    // This was a session of its own.
    chat.logout().await
}
