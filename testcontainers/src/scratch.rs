//! Names, ports and directories that nobody else has.

use std::fs::DirBuilder;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Doing as _, Error, ErrorKind};

/// Below the ports that systems give to outgoing connections: else one of those could take the port of a part that is down.
const PORTS: std::ops::Range<u16> = 16_000..32_000;
/// A filesystem in memory is used only with this much room, in bytes; containers often have a tiny one.
const ROOM: u64 = 1 << 30;

/// A name that no other test uses: for a database, a prefix of keys, a user.
///
/// The prefix, an underscore, and 16 hexadecimal digits at random. With a prefix of up to 40 bytes of letters, digits and
/// underscores it is good as the name of a MongoDB database.
///
/// ```
/// let name = chat_testcontainers::unique_name("search");
/// assert!(name.starts_with("search_"));
/// assert_ne!(name, chat_testcontainers::unique_name("search"));
/// ```
#[must_use]
pub fn unique_name(prefix: &str) -> String {
    format!("{prefix}_{:016x}", rand::random::<u64>())
}

/// A port of 127.0.0.1 that is ours until this is dropped, also while nobody listens on it.
///
/// The claim is the UDP port of the same number: the system frees it when we end, however we end.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _claim: UdpSocket,
}

impl Port {
    pub(crate) fn claim() -> Result<Self, Error> {
        for _ in 0..1000 {
            let number = rand::random_range(PORTS);
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else {
                continue;
            };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _claim: claim });
            }
        }
        let message = format!("no free port from {} to {}", PORTS.start, PORTS.end);
        Err(Error::new(ErrorKind::Io, message))
    }
}

/// A new directory in memory where there is enough of it, else among the temporary files.
pub(crate) fn quick_directory(prefix: &str) -> Result<PathBuf, Error> {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    if room >= ROOM {
        directory_in(memory, prefix)
    } else {
        directory(prefix)
    }
}

/// A new directory among the temporary files.
pub(crate) fn directory(prefix: &str) -> Result<PathBuf, Error> {
    directory_in(&std::env::temp_dir(), prefix)
}

fn directory_in(base: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let path = base.join(unique_name(&format!("chat-testcontainers-{prefix}")));
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .doing(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_free_to_listen_on_and_nobody_else_gets_it() {
        let claimed: Vec<_> = (0..200).map(|_| Port::claim().unwrap()).collect();
        let mut numbers: Vec<_> = claimed.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), claimed.len());
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, claimed[0].number)).is_ok());
        assert!(numbers.iter().all(|number| PORTS.contains(number)));
    }
}
