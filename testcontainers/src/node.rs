//! A chat server as a child process.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Doing as _, Error, ErrorKind};
use crate::process::{Process, Run, read_log};
use crate::scratch::{self, Port};

/// How long a start may take until ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long one look whether it is ready may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);
/// How long an orderly end may take.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// How to start a server, of any kind and language. [`Program`] is one made of plain data.
pub trait Launch: Send + Sync {
    /// What to run: a path, or a name to look up in `PATH`.
    fn program(&self) -> PathBuf;

    /// Its arguments.
    fn arguments(&self, place: &Place) -> Vec<OsString>;

    /// What it gets in its environment, beside what this process has.
    fn environment(&self, _place: &Place) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// Whether it gets nothing in its environment but [`Launch::environment`].
    fn bare(&self) -> bool {
        false
    }

    /// How it tells that it is ready.
    fn ready(&self) -> Ready {
        Ready::default()
    }
}

/// What a server is given to live in. It stays the same over [`Node::restart`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Place {
    /// A port of 127.0.0.1 to listen on.
    pub port: u16,
    /// An empty directory for its data, removed with the node.
    pub data: PathBuf,
}

/// How a server tells that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// By a line on one of its outputs that begins with this text; the rest of the line is its URL.
    Line(String),
    /// By answering GET of this path on its port with a status from 200 to 299.
    Http(String),
}

impl Default for Ready {
    /// The line `listening on http://127.0.0.1:PORT`.
    fn default() -> Self {
        Self::Line("listening on ".into())
    }
}

/// A [`Launch`] of plain data. `{port}` and `{data}` in an argument or variable stand for the node's port and directory.
///
/// ```no_run
/// # async fn example() -> Result<(), chat_testcontainers::Error> {
/// use chat_testcontainers::{Mongo, Node, Program, Ready};
///
/// let mongo = Mongo::shared().await?;
/// let server = Program::new("node")
///     .argument("server.js")
///     .variable("PORT", "{port}")
///     .variable("MONGODB_URI", mongo.database_uri("chat"))
///     .ready(Ready::Http("/health".into()));
/// let node = Node::start(server).await?;
/// println!("{}", node.url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Program {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    bare: bool,
    ready: Ready,
}

impl Program {
    /// A program that is started without arguments and says that it is ready as [`Ready::default`] has it.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            bare: false,
            ready: Ready::default(),
        }
    }

    /// One argument more.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Several arguments more.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// One variable more in its environment.
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Gives it nothing of the environment of this process.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// How it tells that it is ready.
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }
}

impl Launch for Program {
    fn program(&self) -> PathBuf {
        self.program.clone()
    }

    fn arguments(&self, place: &Place) -> Vec<OsString> {
        self.arguments.iter().map(|text| filled(text, place)).collect()
    }

    fn environment(&self, place: &Place) -> Vec<(OsString, OsString)> {
        let all = self.environment.iter();
        all.map(|(name, value)| (name.clone(), filled(value, place))).collect()
    }

    fn bare(&self) -> bool {
        self.bare
    }

    fn ready(&self) -> Ready {
        self.ready.clone()
    }
}

/// What is no UTF-8 has nothing to fill in.
fn filled(text: &OsStr, place: &Place) -> OsString {
    let Some(text) = text.to_str() else {
        return text.to_owned();
    };
    let port = place.port.to_string();
    text.replace("{port}", &port)
        .replace("{data}", &place.data.to_string_lossy())
        .into()
}

/// A running chat server. It is killed, with all that it started, when this is dropped or the test process ends in whatever
/// way; its directory is removed then.
#[derive(Debug)]
pub struct Node {
    process: Process,
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
    /// [`Start`](ErrorKind::Start) when the program cannot be run, [`Ended`](ErrorKind::Ended) when it ends before it is
    /// ready, [`Late`](ErrorKind::Late) when it is not ready within 60 s. The last two show the end of its log.
    pub async fn start(launch: impl Launch) -> Result<Self, Error> {
        let port = Port::claim()?;
        let directory = scratch::directory("node")?;
        let data = directory.join("data");
        std::fs::create_dir(&data).doing(|| format!("cannot make {}", data.display()))?;
        let place = Place {
            port: port.number,
            data,
        };
        let run = Run {
            program: launch.program(),
            arguments: launch.arguments(&place),
            environment: launch.environment(&place),
            bare: launch.bare(),
        };
        let process = Process::start(run, directory)?;
        let ready = launch.ready();
        let (url, address) = until_ready(&process, &ready, port.number, 0).await?;
        Ok(Self {
            process,
            ready,
            url,
            address,
            data: place.data,
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

    /// The directory that it was given for its data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The id of its process, while it runs: to measure what it costs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the system does not tell.
    pub fn ended(&self) -> Result<Option<ExitStatus>, Error> {
        self.process.ended()
    }

    /// Stops its clock (SIGSTOP): connections stay, nothing is answered.
    ///
    /// # Errors
    ///
    /// [`NotRunning`](ErrorKind::NotRunning) when it is down.
    pub async fn pause(&self) -> Result<(), Error> {
        self.process.signal_all(Signal::STOP)
    }

    /// Lets it run on after [`Node::pause`] (SIGCONT).
    ///
    /// # Errors
    ///
    /// As [`Node::pause`].
    pub async fn unpause(&self) -> Result<(), Error> {
        self.process.signal_all(Signal::CONT)
    }

    /// Ends it at once with SIGKILL, and all that it started; returns when it is gone.
    ///
    /// # Errors
    ///
    /// As [`Node::pause`]; and [`Late`](ErrorKind::Late) when it is not gone within 10 s.
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.kill().await
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    ///
    /// # Errors
    ///
    /// As [`Node::pause`]; and [`Late`](ErrorKind::Late) when it has not ended within 60 s.
    pub async fn terminate(&self) -> Result<ExitStatus, Error> {
        self.process.signal(Signal::TERM)?;
        self.process.end(ENDED_WITHIN).await
    }

    /// Starts it again with the same arguments, port and directory, and returns when it is ready; kills it before if it
    /// runs.
    ///
    /// # Errors
    ///
    /// As [`Node::start`]; and [`Start`](ErrorKind::Start) when it listens elsewhere now.
    pub async fn restart(&self) -> Result<(), Error> {
        match self.kill().await {
            Err(error) if error.kind() != ErrorKind::NotRunning => return Err(error),
            _ => {}
        }
        let logged = read_log(&self.process.log_file()).len();
        self.process.start_again()?;
        let port = self.address.port();
        let (url, _) = until_ready(&self.process, &self.ready, port, logged).await?;
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
    /// None now; another kind of node may have some.
    pub async fn logs(&self) -> Result<String, Error> {
        Ok(read_log(&self.process.log_file()))
    }
}

/// What is in the log up to `logged` was said by a former process.
async fn until_ready(
    process: &Process,
    ready: &Ready,
    port: u16,
    logged: usize,
) -> Result<(String, SocketAddr), Error> {
    let began = Instant::now();
    loop {
        // Looked at before the log is, so that what it wrote last is not overlooked.
        let ended = process.ended()?;
        let found = match ready {
            Ready::Line(prefix) => said(&read_log(&process.log_file()), logged, prefix),
            Ready::Http(path) => {
                let look = answers(([127, 0, 0, 1], port).into(), path);
                let well = tokio::time::timeout(LOOKED_WITHIN, look).await.unwrap_or(false);
                well.then(|| format!("http://127.0.0.1:{port}"))
            }
        };
        if let Some(status) = ended {
            return Err(process.failed(ErrorKind::Ended, &format!("ended before it was ready ({status})")));
        }
        if let Some(url) = found {
            let address = address_of(&url).await.ok_or_else(|| {
                Error::new(
                    ErrorKind::Start,
                    format!("it says that it listens on {url:?}, which is no URL"),
                )
            })?;
            return Ok((url, address));
        }
        if began.elapsed() > READY_WITHIN {
            return Err(process.failed(
                ErrorKind::Late,
                &format!("is not ready after {} s", READY_WITHIN.as_secs()),
            ));
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

/// Whether GET of the path is answered well.
async fn answers(address: SocketAddr, path: &str) -> bool {
    let get = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 10];
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok(status)
    };
    get.await
        .is_ok_and(|status| status.starts_with(b"HTTP/1.") && status[8..] == *b" 2")
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
