//! One command to MongoDB over its wire protocol.
//!
//! Enough to initiate a replica set and to see that it works; it keeps the whole driver out of the builds of those who
//! test servers in other languages.

use bson::Document;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const OP_MSG: i32 = 2013;
/// Length, request, response to, operation.
const HEADER: usize = 16;
/// Flags, and the kind of the one section.
const PREFIX: usize = 5;
/// No answer to what is asked here is nearly as long, in bytes.
const LONGEST: usize = 1 << 20;

/// Sends a command, which names its database in `$db`, and returns the answer.
pub(crate) async fn command(stream: &mut TcpStream, command: Document) -> Result<Document, String> {
    let name = command.keys().next().cloned().unwrap_or_default();
    exchange(stream, command).await.map_err(|why| format!("{name}: {why}"))
}

async fn exchange(stream: &mut TcpStream, command: Document) -> Result<Document, String> {
    let body = command.to_vec().map_err(|error| error.to_string())?;
    let length = i32::try_from(HEADER + PREFIX + body.len()).map_err(|error| error.to_string())?;
    let mut message = Vec::with_capacity(HEADER + PREFIX + body.len());
    for field in [length, 1, 0, OP_MSG, 0] {
        message.extend_from_slice(&field.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);
    stream.write_all(&message).await.map_err(|error| error.to_string())?;

    let length = stream.read_i32_le().await.map_err(|error| error.to_string())?;
    let length = usize::try_from(length).unwrap_or(0);
    if !(HEADER + PREFIX..=LONGEST).contains(&length) {
        return Err(format!("an answer of {length} bytes"));
    }
    let mut answer = vec![0; length - 4];
    stream
        .read_exact(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    Document::from_reader(&answer[HEADER - 4 + PREFIX..]).map_err(|error| error.to_string())
}
