//! What MongoDB and Redis have in common: started on a backend, ready, paused, killed, started again.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::backend::{self, Backend};
use crate::docker::{self, Container, Network, Request};
use crate::error::{Doing as _, Error, ErrorKind};
use crate::process::{Process, Run, read_log};
use crate::running::Running;
use crate::scratch::{self, Port};

/// Names a file for notes of what was started.
const RECORD: &str = "CHAT_TEST_BACKENDS_RAN";
/// How long a start may take until ready, once the program or image is there.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long one look whether it is ready may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);
/// How long an orderly end may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// Starts anew on another port when somebody else took the port in between.
const TRIES: usize = 3;

/// A program that is started, and how it says that it is ready.
pub(crate) trait Service {
    /// Of the binary; also names what belongs to it.
    const PROGRAM: &'static str;
    const IMAGE: &'static str;
    /// Where it keeps its data in the container.
    const DATA: &'static str;

    /// Its arguments, the first of which is not the program.
    fn arguments(port: u16, life: Life) -> Vec<String>;
    /// Those that only a process needs: where to listen and to keep its data.
    fn native_arguments(data: &Path) -> Vec<String>;
    /// One look: whether it really works. Says what is missing when it does not.
    fn ready(address: SocketAddr) -> impl Future<Output = Result<(), String>> + Send;
}

/// What an instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Of one test, which may kill it and wants its data again afterwards.
    Owned,
    /// As that, with its data on a disk and not in memory.
    OnDisk,
    /// As the first, with the program's own fail points.
    FailPoints,
    /// Of all tests of a run; never killed.
    Shared,
}

#[derive(Debug)]
pub(crate) struct Instance {
    backend: Backend,
    address: SocketAddr,
    place: Place,
    /// Kept also while it is down.
    _port: Option<Port>,
}

#[derive(Debug)]
enum Place {
    Own(Running),
    /// Belongs to the run; the text is its log's file or its container's name.
    Shared(String),
}

/// What others need to know of a shared instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) backend: Backend,
    pub(crate) address: SocketAddr,
    /// The file of its log, or the name of its container.
    pub(crate) log: String,
}

impl Instance {
    pub(crate) async fn start<S: Service>(backend: Backend, life: Life) -> Result<Self, Error> {
        let mut tries = 1;
        loop {
            match Self::try_start::<S>(backend, life).await {
                Err(error) if error.kind() == ErrorKind::Ended && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_start<S: Service>(backend: Backend, life: Life) -> Result<Self, Error> {
        let port = Port::claim()?;
        let number = port.number;
        let arguments = S::arguments(number, life);
        let (address, running) = match backend {
            Backend::Native => {
                let program = backend::program(S::PROGRAM).await?;
                let process = native::<S>(program, arguments, life)?;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
                (address, Running::Process(process))
            }
            Backend::Docker => {
                let mut command = vec![S::PROGRAM.to_owned()];
                command.extend(arguments);
                let container = Container::start(Request {
                    image: S::IMAGE,
                    command,
                    environment: Vec::new(),
                    port: number,
                    network: Network::Own,
                    // What is in memory does not outlive a stop, so only what is never stopped can be there.
                    in_memory: (life == Life::Shared).then_some(S::DATA),
                })
                .await?;
                (container.address, Running::Container(container))
            }
        };
        let instance = Self {
            backend,
            address,
            place: Place::Own(running),
            _port: Some(port),
        };
        instance.until_ready::<S>().await?;
        note::<S>(backend)?;
        Ok(instance)
    }

    /// What another process started for all of the run.
    pub(crate) fn of(known: Known) -> Self {
        Self {
            backend: known.backend,
            address: known.address,
            place: Place::Shared(known.log),
            _port: None,
        }
    }

    /// Makes it the run's: it is removed, and `beside` with it, when the runner is gone.
    pub(crate) fn share(self, runner: u32, beside: &Path) -> Result<Known, Error> {
        let log = match self.place {
            Place::Own(running) => running.hand_over(runner, beside)?,
            Place::Shared(log) => log,
        };
        Ok(Known {
            backend: self.backend,
            address: self.address,
            log,
        })
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    /// Of a process of our own.
    pub(crate) fn process_id(&self) -> Option<u32> {
        match &self.place {
            Place::Own(Running::Process(process)) => process.id(),
            Place::Own(Running::Container(_)) | Place::Shared(_) => None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        self.own("paused")?.pause().await
    }

    pub(crate) async fn unpause(&self) -> Result<(), Error> {
        self.own("paused")?.unpause().await
    }

    pub(crate) async fn kill(&self) -> Result<(), Error> {
        self.own("killed")?.kill().await
    }

    pub(crate) async fn stop(&self) -> Result<(), Error> {
        self.own("stopped")?.terminate(STOPPED_WITHIN).await.map(drop)
    }

    /// Kills it if it runs; starts it on the same port with the same data; returns when it is ready.
    pub(crate) async fn restart<S: Service>(&self) -> Result<(), Error> {
        self.own("restarted")?.restart().await?;
        self.until_ready::<S>().await
    }

    pub(crate) async fn logs(&self) -> Result<String, Error> {
        match &self.place {
            Place::Own(running) => running.logs().await,
            Place::Shared(name) if self.backend == Backend::Docker => docker::logs(name).await,
            Place::Shared(file) => Ok(read_log(Path::new(file))),
        }
    }

    /// What a test may do with as it likes.
    fn own(&self, what: &str) -> Result<&Running, Error> {
        match &self.place {
            Place::Own(running) => Ok(running),
            Place::Shared(_) => {
                let message = format!("a shared instance is not {what}: other tests use it. Start one of your own");
                Err(Error::new(ErrorKind::Shared, message))
            }
        }
    }

    async fn until_ready<S: Service>(&self) -> Result<(), Error> {
        let Place::Own(running) = &self.place else {
            return Ok(());
        };
        let program = S::PROGRAM;
        let began = Instant::now();
        let mut looked_at_program = began;
        loop {
            let look = S::ready(self.address);
            let missing = match tokio::time::timeout(LOOKED_WITHIN, look).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(missing)) => missing,
                Err(_) => "it accepts connections and does not answer".to_owned(),
            };
            // The daemon is asked rarely, a process looked at each time.
            if self.backend == Backend::Native || looked_at_program.elapsed() > Duration::from_millis(500) {
                looked_at_program = Instant::now();
                if let Some(status) = running.ended().await? {
                    let what = format!("{program} ended before it was ready ({status})");
                    return Err(running.failed(ErrorKind::Ended, &what).await);
                }
            }
            if began.elapsed() > READY_WITHIN {
                let what = format!("{program} is not ready after {} s: {missing}", READY_WITHIN.as_secs());
                return Err(running.failed(ErrorKind::Late, &what).await);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// For those who want to know what their tests ran on, a line in the file that this variable names.
fn note<S: Service>(backend: Backend) -> Result<(), Error> {
    let Some(file) = std::env::var_os(RECORD).filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    let line = format!("{} {backend}\n", S::PROGRAM);
    let noted = OpenOptions::new().append(true).create(true).open(&file);
    noted
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .doing(|| format!("cannot note in {RECORD}={} what runs", file.display()))
}

fn native<S: Service>(program: PathBuf, mut arguments: Vec<String>, life: Life) -> Result<Process, Error> {
    let directory = match life {
        Life::OnDisk => scratch::directory(S::PROGRAM)?,
        Life::Owned | Life::FailPoints | Life::Shared => scratch::quick_directory(S::PROGRAM)?,
    };
    let data = directory.join("data");
    std::fs::create_dir(&data).doing(|| format!("cannot make {}", data.display()))?;
    arguments.extend(S::native_arguments(&data));
    let run = Run {
        program,
        arguments: arguments.into_iter().map(Into::into).collect(),
        ..Run::default()
    };
    Process::start(run, directory)
}

/// A connection for a look whether it is ready.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("nothing listens on {address}: {error}"))
}
