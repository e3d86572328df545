//! What MongoDB and Redis have in common: started on a backend, ready, paused, killed, started again.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::backend::{self, Backend};
use crate::docker::{self, Container, Request};
use crate::error::{Doing as _, Error, ErrorKind};
use crate::process::{Process, Run, read_log, shown};
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
    const IMAGE: (&'static str, &'static str);
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
    Process(Process),
    Container(Container),
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
        let (address, place) = match backend {
            Backend::Native => {
                let program = backend::program(S::PROGRAM).await?;
                let process = native::<S>(program, arguments)?;
                (SocketAddr::from((Ipv4Addr::LOCALHOST, number)), Place::Process(process))
            }
            Backend::Docker => {
                let mut command = vec![S::PROGRAM.to_owned()];
                command.extend(arguments);
                let container = Container::start(Request {
                    image: S::IMAGE,
                    command,
                    port: number,
                    // What is in memory does not outlive a stop, so only what is never stopped can be there.
                    in_memory: (life == Life::Shared).then_some(S::DATA),
                })
                .await?;
                (container.address, Place::Container(container))
            }
        };
        let instance = Self {
            backend,
            address,
            place,
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
            Place::Process(process) => {
                let log = process.log_file();
                process.hand_over(runner, beside)?;
                log.to_string_lossy().into_owned()
            }
            Place::Container(container) => container.hand_over(runner, beside)?,
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        match &self.place {
            Place::Process(process) => process.signal_all(Signal::STOP),
            Place::Container(container) => container.pause().await,
            Place::Shared(_) => Err(shared("paused")),
        }
    }

    pub(crate) async fn unpause(&self) -> Result<(), Error> {
        match &self.place {
            Place::Process(process) => process.signal_all(Signal::CONT),
            Place::Container(container) => container.unpause().await,
            Place::Shared(_) => Err(shared("paused")),
        }
    }

    pub(crate) async fn kill(&self) -> Result<(), Error> {
        match &self.place {
            Place::Process(process) => process.kill().await,
            Place::Container(container) => {
                runs(container).await?;
                container.kill().await
            }
            Place::Shared(_) => Err(shared("killed")),
        }
    }

    pub(crate) async fn stop(&self) -> Result<(), Error> {
        match &self.place {
            Place::Process(process) => {
                process.signal(Signal::TERM)?;
                // A paused process takes no signal but SIGKILL.
                process.signal_all(Signal::CONT)?;
                process.end(STOPPED_WITHIN).await.map(drop)
            }
            Place::Container(container) => {
                if runs(container).await?.paused.unwrap_or(false) {
                    container.unpause().await?;
                }
                container
                    .stop(i32::try_from(STOPPED_WITHIN.as_secs()).unwrap_or(i32::MAX))
                    .await
            }
            Place::Shared(_) => Err(shared("stopped")),
        }
    }

    /// Kills it if it runs; starts it on the same port with the same data; returns when it is ready.
    pub(crate) async fn restart<S: Service>(&self) -> Result<(), Error> {
        match self.kill().await {
            Err(error) if error.kind() != ErrorKind::NotRunning => return Err(error),
            _ => {}
        }
        match &self.place {
            Place::Process(process) => process.start_again()?,
            Place::Container(container) => container.start_again().await?,
            Place::Shared(_) => return Err(shared("restarted")),
        }
        self.until_ready::<S>().await
    }

    pub(crate) async fn logs(&self) -> Result<String, Error> {
        match &self.place {
            Place::Process(process) => Ok(read_log(&process.log_file())),
            Place::Container(container) => container.logs().await,
            Place::Shared(name) if self.backend == Backend::Docker => docker::logs(name).await,
            Place::Shared(file) => Ok(read_log(&PathBuf::from(file))),
        }
    }

    async fn until_ready<S: Service>(&self) -> Result<(), Error> {
        let began = Instant::now();
        let mut looked_at_program = began;
        loop {
            let look = S::ready(self.address);
            let missing = match tokio::time::timeout(LOOKED_WITHIN, look).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(missing)) => missing,
                Err(_) => "it accepts connections and does not answer".to_owned(),
            };
            let late = began.elapsed() > READY_WITHIN;
            // The daemon is asked rarely, a process looked at each time.
            if late || self.backend == Backend::Native || looked_at_program.elapsed() > Duration::from_millis(500) {
                looked_at_program = Instant::now();
                self.still_runs::<S>().await?;
            }
            if late {
                let log = shown(&self.logs().await.unwrap_or_default());
                let program = S::PROGRAM;
                let message = format!(
                    "{program} is not ready after {} s: {missing}{log}",
                    READY_WITHIN.as_secs()
                );
                return Err(Error::new(ErrorKind::Late, message));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn still_runs<S: Service>(&self) -> Result<(), Error> {
        match &self.place {
            Place::Process(process) => match process.ended()? {
                Some(status) => Err(process.failed(ErrorKind::Ended, &format!("ended before it was ready ({status})"))),
                None => Ok(()),
            },
            Place::Container(container) if !container.state().await?.running.unwrap_or(false) => {
                let log = shown(&container.logs().await.unwrap_or_default());
                Err(Error::new(
                    ErrorKind::Ended,
                    format!("{} ended before it was ready{log}", S::PROGRAM),
                ))
            }
            Place::Container(_) | Place::Shared(_) => Ok(()),
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

fn native<S: Service>(program: PathBuf, mut arguments: Vec<String>) -> Result<Process, Error> {
    let directory = scratch::quick_directory(S::PROGRAM)?;
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

async fn runs(container: &Container) -> Result<testcontainers::bollard::models::ContainerState, Error> {
    let state = container.state().await?;
    if state.running.unwrap_or(false) {
        Ok(state)
    } else {
        Err(Error::new(ErrorKind::NotRunning, "it does not run now"))
    }
}

fn shared(what: &str) -> Error {
    let message = format!("a shared instance is not {what}: other tests use it. Start one of your own");
    Error::new(ErrorKind::Shared, message)
}

/// A connection for a look whether it is ready.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("nothing listens on {address}: {error}"))
}
