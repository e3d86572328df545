//! `chat-server healthcheck`: asks the server beside it whether it is ready. For images that have no shell and no curl.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Command;

use super::{Failure, Outcome, say};
use crate::config::{Settings, Sources};

/// For the connection, and again for each part of the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any status line of ours has.
const STATUS_LINE: u64 = 128;

pub(super) fn command() -> Command {
    Command::new("healthcheck")
        .about("Ask the server at HOST and PORT whether it is ready: exit code 0 if it is, else 1")
}

pub(super) fn perform(sources: &Sources) -> Outcome {
    let listening = Settings::listen(sources).map_err(|problems| Failure::Usage(problems.to_string()))?;
    if listening.port() == 0 {
        return Err(Failure::Usage("PORT is 0: nobody can know which port was taken".into()));
    }
    let address = reachable(listening);
    let status = ask(address).map_err(|error| Failure::Failed(format!("http://{address}/ready: {error}")))?;
    match status.split(' ').nth(1) {
        Some("200") => say("ready\n"),
        _ => Err(Failure::Failed(format!("http://{address}/ready says {status:?}"))),
    }
}

/// Who listens on all addresses is asked on the loopback one.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// The status line of the answer.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(STATUS_LINE)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_asked_on_this_machine() {
        for (listening, asked) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:3000", "[::1]:3000"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            let listening: SocketAddr = listening.parse().unwrap();
            assert_eq!(reachable(listening).to_string(), asked);
        }
    }
}
