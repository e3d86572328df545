//! Goose prints to standard output that all its users were launched, whatever it is told.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;

use rustix::stdio::dup2_stdout;

/// What is printed goes nowhere until this is dropped.
pub(super) struct Hush {
    /// Where it went before.
    output: File,
}

impl Hush {
    pub(super) fn begin() -> io::Result<Self> {
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
        Ok(Self { output })
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        // Where it fails, as little can be said of it as of anything else.
        let _ = dup2_stdout(&self.output);
    }
}
