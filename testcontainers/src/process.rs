//! A program in a process group of its own.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::error::{Doing as _, Error, ErrorKind};
use crate::reaper::{self, Reaper, Target};

/// How long a process may take to stand still after SIGSTOP.
const PAUSED_WITHIN: Duration = Duration::from_secs(10);
/// How long a process may take to be gone after SIGKILL.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Without what this process has in its environment.
    pub(crate) bare: bool,
}

/// A program and a directory for its data and its log. Both are gone when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Process {
    run: Run,
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Child>,
    /// How the last one ended.
    status: Option<ExitStatus>,
    reaper: Reaper,
}

impl Process {
    /// Starts it; `directory` is removed in the end.
    pub(crate) fn start(run: Run, directory: PathBuf) -> Result<Self, Error> {
        let reaper = Reaper::start(Target::Process(None), &[&directory])?;
        let process = Self {
            run,
            directory,
            state: Mutex::new(State {
                child: None,
                status: None,
                reaper,
            }),
        };
        process.start_again()?;
        Ok(process)
    }

    /// Starts what has ended, with the same arguments and directory.
    pub(crate) fn start_again(&self) -> Result<(), Error> {
        let mut state = self.state();
        let log = log_file(&self.directory);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .doing(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.run.program);
        if self.run.bare {
            command.env_clear();
        }
        command
            .args(&self.run.arguments)
            .envs(self.run.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log.try_clone().doing(|| "cannot share the log".into())?)
            // A file and not a pipe: it never blocks the program, and the program may outlive us.
            .stdout(log)
            .process_group(0);
        let child = command.spawn().map_err(|error| {
            let program = self.run.program.display();
            Error::caused(ErrorKind::Start, format!("cannot start {program}"), error)
        })?;
        state.reaper.aim(Some(child.id()))?;
        state.child = Some(child);
        state.status = None;
        Ok(())
    }

    /// The process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>, Error> {
        self.state().ended()
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let mut state = self.state();
        state.ended()?;
        rustix::process::kill_process(state.pid()?, signal).doing(|| "the signal cannot be sent".into())
    }

    /// Sends a signal to the process and all that it started.
    pub(crate) fn signal_all(&self, signal: Signal) -> Result<(), Error> {
        let mut state = self.state();
        state.ended()?;
        rustix::process::kill_process_group(state.pid()?, signal).doing(|| "the signal cannot be sent".into())
    }

    /// SIGKILL, also to all that it started; returns when it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        self.signal_all(Signal::KILL)?;
        self.end(KILLED_WITHIN).await.map(drop)
    }

    /// SIGSTOP, also to all that it started; returns when it stands still. Until the signal has reached one of its threads, which
    /// may have to wait for a processor, the others go on.
    pub(crate) async fn pause(&self) -> Result<(), Error> {
        self.signal_all(Signal::STOP)?;
        self.until("stop", PAUSED_WITHIN, |process| process.state().stopped())
            .await
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&self, within: Duration) -> Result<ExitStatus, Error> {
        self.until("end", within, Self::ended).await
    }

    /// Looks again and again.
    async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl Fn(&Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let program = self.run.program.display();
                let message = format!("{program} did not {what} within {} s", within.as_secs());
                return Err(Error::new(ErrorKind::Late, message));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        log_file(&self.directory)
    }

    /// Lets it run on until another process, the runner of the tests, is gone; then it and the directories are removed.
    pub(crate) fn hand_over(self, runner: u32, beside: &Path) -> Result<(), Error> {
        let mut state = self.state();
        let id = state.pid()?.as_raw_pid().unsigned_abs();
        reaper::watch(runner, Target::Process(Some(id)), &[&self.directory, beside])?;
        state.reaper.stand_down()?;
        state.child = None;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pid(&self) -> Result<Pid, Error> {
        let id = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        id.and_then(Pid::from_raw)
            .ok_or_else(|| Error::new(ErrorKind::NotRunning, "it does not run now"))
    }

    /// Whether all of its threads stand still. It stays so for whoever asks next.
    fn stopped(&mut self) -> Result<Option<()>, Error> {
        self.ended()?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let stopped = rustix::process::waitid(WaitId::Pid(self.pid()?), options);
        let stopped = stopped.doing(|| "cannot wait for the process to stop".into())?;
        Ok(stopped.map(drop))
    }

    /// Takes note of its end. The reaper forgets the group in the same breath: the system may give its number to others.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        let Some(child) = &mut self.child else {
            return Ok(self.status);
        };
        self.status = child.try_wait().doing(|| "cannot wait for the process".into())?;
        if self.status.is_some() {
            // What it started may still run.
            if let Ok(group) = self.pid() {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            self.child = None;
            self.reaper.aim(None)?;
        }
        Ok(self.status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Ok(group) = state.pid() {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        if let Some(mut child) = state.child.take() {
            // After SIGKILL this is a matter of milliseconds.
            let _ = child.wait();
            let _ = state.reaper.aim(None);
        }
        // The reaper goes with us and takes the directory along.
    }
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// A log as text, whatever is in it.
pub(crate) fn read_log(file: &Path) -> String {
    fs::read(file).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
