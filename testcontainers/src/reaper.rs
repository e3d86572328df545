//! A small shell beside us that cleans up when we are gone, also after SIGKILL.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Doing as _, Error};

const SCRIPT: &str = include_str!("reaper.sh");
/// How long letting go waits for the cleaning to be done.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be removed in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A process group, once there is one.
    Process(Option<u32>),
    /// A container, by its name.
    Container(&'a str),
}

/// Cleans up when this process ends, or when it is dropped, whichever comes first.
///
/// It holds the reading end of a pipe whose writing end only we have, so it learns of our end from the system at once.
#[derive(Debug)]
pub(crate) struct Reaper {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Reaper {
    pub(crate) fn start(target: Target<'_>, directories: &[&Path]) -> Result<Self, Error> {
        let mut command = shell("pipe", target, directories);
        let mut shell = command
            .stdin(Stdio::piped())
            .spawn()
            .doing(|| "cannot start sh, which cleans up after us".into())?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Tells which process group there is now, if any.
    pub(crate) fn aim(&mut self, group: Option<u32>) -> Result<(), Error> {
        let line = group.map_or_else(|| "none\n".to_owned(), |group| format!("{group}\n"));
        self.say(&line)
    }

    /// Ends it with nothing cleaned: another one watches now.
    pub(crate) fn stand_down(&mut self) -> Result<(), Error> {
        self.say("keep\n")
    }

    fn say(&mut self, line: &str) -> Result<(), Error> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        pipe.write_all(line.as_bytes())
            .doing(|| "the shell that cleans up after us is gone".into())
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let end = Instant::now() + PATIENCE;
        // Not waited for without end: a Docker daemon that hangs must not hang the test too.
        while matches!(self.shell.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Cleans up when another process, the runner of the tests, is gone. Nothing ends it before.
pub(crate) fn watch(runner: u32, target: Target<'_>, directories: &[&Path]) -> Result<(), Error> {
    shell(&runner.to_string(), target, directories)
        .stdin(Stdio::null())
        .spawn()
        .doing(|| "cannot start sh, which cleans up after the run".into())?;
    Ok(())
}

/// In a group of its own: Ctrl-C and a runner that kills a test with all its group do not reach it. Its output is closed,
/// or a runner would wait for it.
fn shell(watch: &str, target: Target<'_>, directories: &[&Path]) -> Command {
    let (kind, target) = match target {
        Target::Process(group) => (
            "process",
            group.map_or_else(|| "none".to_owned(), |group| group.to_string()),
        ),
        Target::Container(name) => ("container", name.to_owned()),
    };
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "reaper", watch, kind, &target]);
    command.args(directories).current_dir("/");
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}
