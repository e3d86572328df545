//! What is loaded: a server of our own, a stack of them, or one that runs elsewhere.

mod clock;
mod launch;
mod preflight;
mod resources;
mod safety;
mod stack;

use url::Url;

pub use self::clock::{Ahead, ahead};
pub use self::launch::{LaunchError, Launched, OWNED, SERVE, end_with_parent, launch};
pub use self::preflight::{Finding, preflight, raise_open_files};
pub use self::resources::{Look, Resources, Usage, own_cpu, own_memory};
pub use self::safety::{SafetyError, check as check_address};
pub use self::stack::{Stack, StackError, bring_up};

/// Where the load goes, with whatever of it is ours to end.
#[derive(Debug)]
pub struct Target {
    /// In words, for reports.
    pub kind: String,
    pub nodes: Vec<Url>,
    /// How its resources are watched.
    pub resources: Resources,
    /// Ends with us.
    pub owned: Owned,
}

/// Parts that are ended when this is dropped.
#[derive(Debug)]
pub enum Owned {
    Nothing,
    Server(Box<Launched>),
    Stack(Box<Stack>),
}

impl Target {
    /// How the server ended, where it is a process of our own and has.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        match &self.owned {
            Owned::Server(server) => server.ended(),
            Owned::Nothing | Owned::Stack(_) => None,
        }
    }
}
