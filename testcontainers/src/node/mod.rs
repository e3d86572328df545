//! A chat server: a child process, or a container.

mod launch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub use self::launch::{Launch, Place, Program, Ready};
use crate::docker::{Container, Network, Request};
use crate::error::{Doing as _, Error, ErrorKind};
use crate::process::{Process, Run};
use crate::running::Running;
use crate::scratch::{self, Port};

/// How long a start may take until ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long one look whether it is ready may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);
/// How long an orderly end may take.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// A running chat server: a child process, or a container of an image. It is killed, with all that it started, when this is
/// dropped or the test process ends in whatever way; its data are removed then.
#[derive(Debug)]
pub struct Node {
    running: Running,
    ready: Ready,
    url: String,
    address: SocketAddr,
    data: PathBuf,
    _port: Port,
}

impl Node {
    /// Starts a server and returns when it is ready.
    ///
    /// # Errors
    ///
    /// [`Start`](ErrorKind::Start) when the program cannot be run, [`Docker`](ErrorKind::Docker) when the image cannot,
    /// [`Ended`](ErrorKind::Ended) when it ends before it is ready, [`Late`](ErrorKind::Late) when it is not ready within
    /// 60 s. The last two show the end of its log.
    pub async fn start(launch: impl Launch) -> Result<Self, Error> {
        let port = Port::claim()?;
        let number = port.number;
        let (running, data) = match launch.image() {
            Some(image) => container(&launch, &image, number).await?,
            None => process(&launch, number)?,
        };
        let ready = launch.ready();
        let (url, address) = until_ready(&running, &ready, number, 0).await?;
        Ok(Self {
            running,
            ready,
            url,
            address,
            data,
            _port: port,
        })
    }

    /// Its base URL, without a slash at the end: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory that it was given for its data; in an image, as the container sees it.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The id of its process, while it runs: to measure what it costs. Of a container there is none.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        match &self.running {
            Running::Process(process) => process.id(),
            Running::Container(_) => None,
        }
    }

    /// How it ended, if it has. Of a container there is the exit code alone, which is 128 and its number for a signal.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) or [`Docker`](ErrorKind::Docker) when it cannot be found out.
    pub async fn ended(&self) -> Result<Option<ExitStatus>, Error> {
        self.running.ended().await
    }

    /// Stops its clock, as [`Mongo::pause`](crate::Mongo::pause): connections stay, nothing is answered.
    ///
    /// # Errors
    ///
    /// [`NotRunning`](ErrorKind::NotRunning) when it is down.
    pub async fn pause(&self) -> Result<(), Error> {
        self.running.pause().await
    }

    /// Lets it run on after [`Node::pause`].
    ///
    /// # Errors
    ///
    /// As [`Node::pause`].
    pub async fn unpause(&self) -> Result<(), Error> {
        self.running.unpause().await
    }

    /// Ends it at once with SIGKILL, and all that it started; returns when it is gone.
    ///
    /// # Errors
    ///
    /// As [`Node::pause`]; and [`Late`](ErrorKind::Late) when it is not gone within some seconds.
    pub async fn kill(&self) -> Result<(), Error> {
        self.running.kill().await
    }

    /// Asks it to end (SIGTERM) and returns how it did, as [`Node::ended`] says it.
    ///
    /// # Errors
    ///
    /// As [`Node::pause`]; and [`Late`](ErrorKind::Late) when it has not ended within 60 s.
    pub async fn terminate(&self) -> Result<ExitStatus, Error> {
        self.running.terminate(ENDED_WITHIN).await
    }

    /// Starts it again with the same arguments, port and directory, and returns when it is ready; kills it before if it
    /// runs.
    ///
    /// # Errors
    ///
    /// As [`Node::start`]; and [`Start`](ErrorKind::Start) when it listens elsewhere now.
    pub async fn restart(&self) -> Result<(), Error> {
        let logged = self.logs().await?.len();
        self.running.restart().await?;
        let port = self.address.port();
        let (url, _) = until_ready(&self.running, &self.ready, port, logged).await?;
        if url == self.url {
            Ok(())
        } else {
            let message = format!(
                "it was on {} and is on {url} now: it does not take the port it is given",
                self.url
            );
            Err(Error::new(ErrorKind::Start, message))
        }
    }

    /// All that it wrote to its outputs since it was first started.
    ///
    /// # Errors
    ///
    /// [`Docker`](ErrorKind::Docker) when the daemon does not hand it out.
    pub async fn logs(&self) -> Result<String, Error> {
        self.running.logs().await
    }
}

fn process(launch: &impl Launch, port: u16) -> Result<(Running, PathBuf), Error> {
    let directory = scratch::directory("node")?;
    let data = directory.join("data");
    std::fs::create_dir(&data).doing(|| format!("cannot make {}", data.display()))?;
    let place = Place { port, data };
    let run = Run {
        program: launch.program(),
        arguments: launch.arguments(&place),
        environment: launch.environment(&place),
        bare: launch.bare(),
    };
    Ok((Running::Process(Process::start(run, directory)?), place.data))
}

async fn container(launch: &impl Launch, image: &str, port: u16) -> Result<(Running, PathBuf), Error> {
    let place = Place {
        port,
        data: "/tmp".into(),
    };
    let program = launch.program().into_os_string();
    let command = Some(program).filter(|program| !program.is_empty()).into_iter();
    // Docker takes texts: what is none loses the bytes that are not.
    let command = command
        .chain(launch.arguments(&place))
        .map(|text| text.to_string_lossy().into_owned());
    let environment = launch.environment(&place);
    let texts = environment
        .iter()
        .map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()));
    let container = Container::start(Request {
        image,
        command: command.collect(),
        environment: texts
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
        port,
        network: Network::Host,
        in_memory: None,
    })
    .await?;
    Ok((Running::Container(container), place.data))
}

/// What is in the log up to `logged` was said by a former process.
async fn until_ready(
    running: &Running,
    ready: &Ready,
    port: u16,
    logged: usize,
) -> Result<(String, SocketAddr), Error> {
    let began = Instant::now();
    loop {
        // Looked at before the log is, so that what it wrote last is not overlooked.
        let ended = running.ended().await?;
        let found = match ready {
            Ready::Line(prefix) => said(&running.logs().await?, logged, prefix),
            Ready::Http(_) | Ready::Answer => {
                let (path, status) = match ready {
                    Ready::Http(path) => (path.as_str(), &b" 2"[..]),
                    _ => ("/", &b" "[..]),
                };
                let look = answers(([127, 0, 0, 1], port).into(), path, status);
                let well = tokio::time::timeout(LOOKED_WITHIN, look).await.unwrap_or(false);
                well.then(|| format!("http://127.0.0.1:{port}"))
            }
        };
        if let Some(status) = ended {
            let what = format!("the server ended before it was ready ({status})");
            return Err(running.failed(ErrorKind::Ended, &what).await);
        }
        if let Some(url) = found {
            let address = address_of(&url).await.ok_or_else(|| {
                let message = format!("it says that it listens on {url:?}, which is no URL");
                Error::new(ErrorKind::Start, message)
            })?;
            return Ok((url, address));
        }
        if began.elapsed() > READY_WITHIN {
            let what = format!("the server is not ready after {} s", READY_WITHIN.as_secs());
            return Err(running.failed(ErrorKind::Late, &what).await);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The URL in the first whole line that begins so.
fn said(log: &str, logged: usize, prefix: &str) -> Option<String> {
    let (whole, _) = log.get(logged..)?.rsplit_once('\n')?;
    let url = whole.lines().find_map(|line| line.strip_prefix(prefix))?;
    Some(url.trim().trim_end_matches('/').to_owned())
}

/// `http://HOST:PORT`, where the host may be a name.
async fn address_of(url: &str) -> Option<SocketAddr> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = match scheme {
        _ if has_port => authority.to_owned(),
        "https" => format!("{authority}:443"),
        _ => format!("{authority}:80"),
    };
    tokio::net::lookup_host(authority).await.ok()?.next()
}

/// Whether GET of the path is answered with a status that begins so.
async fn answers(address: SocketAddr, path: &str, begins: &[u8]) -> bool {
    let get = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 10];
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok(status)
    };
    get.await
        .is_ok_and(|status| status.starts_with(b"HTTP/1.") && status[8..].starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_of_the_new_process_counts() {
        let old = "listening on http://127.0.0.1:1\n";
        assert_eq!(said(old, 0, "listening on ").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(said(old, old.len(), "listening on "), None);
        let half = format!("{old}warning\nlistening on http://127.0.0.1:22");
        assert_eq!(said(&half, old.len(), "listening on "), None);
        let whole = format!("{half}33/\n");
        assert_eq!(
            said(&whole, old.len(), "listening on ").as_deref(),
            Some("http://127.0.0.1:2233")
        );
    }

    #[tokio::test]
    async fn an_address_is_read_from_a_url() {
        assert_eq!(
            address_of("http://127.0.0.1:81/x").await,
            Some(([127, 0, 0, 1], 81).into())
        );
        assert_eq!(
            address_of("https://127.0.0.1").await,
            Some(([127, 0, 0, 1], 443).into())
        );
        assert_eq!(address_of("127.0.0.1:80").await, None);
    }
}
