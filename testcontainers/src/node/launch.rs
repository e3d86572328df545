//! How a server is started.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// How to start a server, of any kind and language. [`Program`] is one made of plain data.
pub trait Launch: Send + Sync {
    /// What to run: a path, or a name to look up in `PATH`. In an image it may be empty, which leaves it to the image.
    fn program(&self) -> PathBuf;

    /// The Docker image to run it in, `name:tag`; with none it is a process of this machine.
    ///
    /// It runs in the network of the machine, so that port, databases and proxies are where a process would find them (which
    /// takes Linux), and has nothing of this process's environment.
    fn image(&self) -> Option<String> {
        None
    }

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

/// What a server is given to live in. It stays the same over [`Node::restart`](crate::Node::restart).
#[derive(Debug)]
#[non_exhaustive]
pub struct Place {
    /// A port of 127.0.0.1 to listen on.
    pub port: u16,
    /// An empty directory for its data, removed with the node. In an image it is `/tmp` of the container.
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
    /// By answering anything at all by HTTP on its port.
    Answer,
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
    image: Option<String>,
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
            image: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            bare: false,
            ready: Ready::default(),
        }
    }

    /// What a Docker image runs, as [`Launch::image`] has it: `Program::of_image("registry.example/chat:2")`.
    pub fn of_image(image: impl Into<String>) -> Self {
        Self {
            image: Some(image.into()),
            ..Self::new("")
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

    fn image(&self) -> Option<String> {
        self.image.clone()
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
