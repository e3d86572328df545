//! A machine of a quarter of the speed: a command and all that it starts, servers and databases too, but for those in Docker, get a
//! quarter of the processors' time, by a control group of the kernel's.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use crate::steps::{Outcome, finish};

/// In microseconds. Short enough for every time-out of the contract.
const PERIOD: usize = 100_000;

/// Runs a command that speaks for itself, slowly.
pub fn run(command: &Command) -> Outcome {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let group = match Group::new(Path::new("/sys/fs/cgroup"), cores) {
        Ok(group) => group,
        Err(error) => {
            eprintln!(
                "--slow needs root outside of containers, and control groups (/sys/fs/cgroup) that limit the processor: {error}"
            );
            return Outcome::Failed;
        }
    };
    finish(&mut group.enclose(command))
}

/// Removed when it is dropped, as far as nothing runs in it any more.
struct Group(PathBuf);

impl Group {
    fn new(root: &Path, cores: usize) -> io::Result<Self> {
        let quota = (PERIOD * cores).div_ceil(4);
        let name = format!("chat-slow-{}", std::process::id());
        // Of the second version where it has the processor, else of the first.
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if controllers.split_whitespace().any(|controller| controller == "cpu") {
            fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
            let group = Self::made(root.join(name))?;
            fs::write(group.0.join("cpu.max"), format!("{quota} {PERIOD}"))?;
            return Ok(group);
        }
        let group = Self::made(root.join("cpu").join(name))?;
        fs::write(group.0.join("cpu.cfs_period_us"), PERIOD.to_string())?;
        fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string())?;
        Ok(group)
    }

    fn made(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir(&directory)?;
        Ok(Self(directory))
    }

    /// The same command, which joins the group before it becomes what it is.
    fn enclose(&self, command: &Command) -> Command {
        let mut enclosed = Command::new("sh");
        enclosed
            .args(["-euc", r#"echo $$ >"$0"; exec "$@""#])
            .arg(self.0.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => enclosed.env(name, value),
                None => enclosed.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            enclosed.current_dir(directory);
        }
        enclosed
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was started may still be ending; an empty group costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_given_to_the_command_in_either_version() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(first.path().join("cpu")).unwrap();
        let group = Group::new(first.path(), 2).unwrap();
        let read = |group: &Group, file| fs::read_to_string(group.0.join(file)).unwrap();
        assert_eq!(read(&group, "cpu.cfs_quota_us"), "50000");
        assert_eq!(read(&group, "cpu.cfs_period_us"), "100000");

        fs::write(second.path().join("cgroup.controllers"), "cpuset cpu io\n").unwrap();
        let group = Group::new(second.path(), 8).unwrap();
        assert_eq!(read(&group, "cpu.max"), "200000 100000");

        // It joins, and is then what it was.
        let mut command = Command::new("sh");
        command.args(["-c", r#"test "$A" = b && echo $$ >self"#]).env("A", "b");
        let ran = group.enclose(command.current_dir(second.path())).status().unwrap();
        assert!(ran.success());
        let joined = read(&group, "cgroup.procs");
        assert_eq!(joined, fs::read_to_string(second.path().join("self")).unwrap());
    }
}
