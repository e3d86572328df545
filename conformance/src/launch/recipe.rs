//! How a kind of server is started.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use chat_testcontainers::{Program, Ready, unique_name};

use super::stack::SECRETS;
use super::{BY_DEFAULT, Databases, LaunchError, SERVE, shown};
use crate::engine::transcript::AllSecrets;

/// What is started.
#[derive(Debug, Clone)]
pub enum Kind {
    /// The reference server, which is inside of this program.
    Reference { program: PathBuf },
    /// Any command. `{port}` and `{data}` in it stand for the port that it is given and for a directory of its own.
    Exec { command: Vec<OsString> },
    /// A container of an image.
    Image { name: String },
}

/// What is started, and with what.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub(super) kind: Kind,
    databases: Databases,
    /// Flags of the reference, or variables, that every server gets.
    always: Vec<(String, String)>,
    /// Where it answers well once it is ready; with none, any answer will do.
    ready: Option<String>,
}

/// What every server gets unless a case wants it otherwise: no limits, and nothing to say.
const DEFAULTS: [(&str, &str); 5] = [
    ("--node-env", "test"),
    ("--rate-limit-max-requests", "0"),
    ("--auth-rate-limit-max-requests", "0"),
    ("--socket-rate-limit-max-events", "0"),
    ("--log-level", "error"),
];

/// What the contract has a variable for; servers other than the reference have nothing else.
const VARIABLES: [&str; 12] = [
    "NODE_ENV",
    "LOG_LEVEL",
    "JWT_SECRET",
    "JWT_EXPIRES_IN",
    "JWT_REFRESH_SECRET",
    "JWT_REFRESH_EXPIRES_IN",
    "RATE_LIMIT_WINDOW_MS",
    "RATE_LIMIT_MAX_REQUESTS",
    "AUTH_RATE_LIMIT_MAX_REQUESTS",
    "SOCKET_RATE_LIMIT_MAX_EVENTS",
    "TRUSTED_PROXIES",
    "HOST",
];

/// The variable that a flag of the reference stands for; other names are variables.
fn variable(name: &str) -> String {
    match name.strip_prefix("--") {
        Some(flag) => flag.replace('-', "_").to_uppercase(),
        None => name.to_owned(),
    }
}

impl Kind {
    /// This very program.
    ///
    /// # Errors
    ///
    /// When its path is not known.
    pub fn reference() -> io::Result<Self> {
        Ok(Self::Reference {
            program: std::env::current_exe()?,
        })
    }

    /// For reports, without secrets.
    pub fn name(&self) -> String {
        match self {
            Self::Reference { .. } => "the reference server".to_owned(),
            Self::Exec { command } => shown::command(command),
            Self::Image { name } => name.clone(),
        }
    }
}

impl Recipe {
    pub fn new(kind: Kind, databases: Databases) -> Self {
        Self {
            kind,
            databases,
            always: Vec::new(),
            ready: None,
        }
    }

    /// One setting more for every server: a flag of the reference, a variable of others.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.always.push((name.into(), value.into()));
        self
    }

    /// The path that answers with a success once the server is ready.
    #[must_use]
    pub fn ready_at(mut self, path: impl Into<String>) -> Self {
        self.ready = Some(path.into());
        self
    }

    /// What every server gets, beside what cases ask for.
    pub(super) fn always(&self) -> impl Iterator<Item = (&str, &str)> {
        self.always.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What its servers are given and no log should show.
    pub(super) fn secrets(&self) -> Vec<String> {
        let given = self
            .always
            .iter()
            .filter_map(|(name, value)| match shown::is_secret(name) {
                true => Some(value.clone()),
                false => shown::login(value).map(str::to_owned),
            });
        let ours = SECRETS.map(|(_, value)| value.to_owned());
        given.chain(ours).collect()
    }

    /// A text, such as the end of a log, without them.
    pub(super) fn masked(&self, text: &str) -> String {
        let secrets = AllSecrets::of(std::iter::empty(), &self.secrets());
        secrets.map(|secrets| secrets.text(text)).unwrap_or_default()
    }

    /// Why one of its servers did not become ready. What it wrote last stands in the error.
    pub(super) fn failed(&self, error: &chat_testcontainers::Error) -> LaunchError {
        LaunchError::Ended(self.masked(&error.to_string()))
    }

    /// Whether it is the reference on its embedded store.
    pub(super) fn is_embedded(&self) -> bool {
        matches!(self.kind, Kind::Reference { .. }) && self.databases.mongo.is_none()
    }

    pub(super) fn joins_nodes(&self) -> bool {
        self.databases.redis.is_some()
    }

    /// A name that nobody has used, where there is a database server.
    pub(super) fn new_database(&self) -> Option<String> {
        self.databases.mongo.as_ref().map(|_| unique_name("conformance"))
    }

    /// The variables that lead to the databases.
    pub(super) fn variables(&self, database: Option<&str>) -> Vec<(&'static str, String)> {
        database
            .map(|database| self.databases.variables(database))
            .unwrap_or_default()
    }

    /// What runs with these settings.
    pub(super) fn program(
        &self,
        settings: &[(&str, &str)],
        database: Option<&str>,
        most_kib: Option<u32>,
    ) -> Result<Program, LaunchError> {
        // What a case asks for goes before what every server gets: limits that are switched off for the run stay low where they
        // are what is judged.
        let mut all: Vec<(&str, &str)> = Vec::new();
        for setting in DEFAULTS
            .into_iter()
            .chain(self.always())
            .chain(settings.iter().copied())
        {
            all.retain(|(name, _)| variable(name) != variable(setting.0));
            all.push(setting);
        }
        all.retain(|(_, value)| *value != BY_DEFAULT);
        Ok(match &self.kind {
            Kind::Reference { program } => {
                let mut arguments: Vec<OsString> = vec![SERVE.into()];
                arguments.extend(["--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{data}"].map(Into::into));
                // Not the settings of whoever runs the suite.
                arguments.extend(["--env-file", "/nonexistent"].map(Into::into));
                for (name, value) in all {
                    arguments.extend([name.into(), value.into()]);
                }
                let program = match most_kib {
                    None => Program::new(program).arguments(arguments),
                    Some(kib) => {
                        // The limit counts blocks of 512 bytes; with the signal ignored, the write itself fails.
                        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
                        Program::new("/bin/sh")
                            .arguments(["-c".into(), OsString::from(script), program.clone().into()])
                            .arguments(arguments)
                    }
                };
                self.led(program.bare(), database)
            }
            Kind::Exec { command } => {
                let (program, arguments) = command
                    .split_first()
                    .ok_or_else(|| LaunchError::Unsupported("an empty command".into()))?;
                let program = Program::new(program).arguments(arguments);
                self.by_variables(self.led(program, database), &all)?
            }
            Kind::Image { name } => self.by_variables(self.led(Program::of_image(name), database), &all)?,
        })
    }

    /// The program with the variables that lead to its databases; what is set later wins.
    fn led(&self, program: Program, database: Option<&str>) -> Program {
        let databases = self.variables(database).into_iter();
        databases.fold(program, |program, (name, value)| program.variable(name, value))
    }

    fn by_variables(&self, program: Program, settings: &[(&str, &str)]) -> Result<Program, LaunchError> {
        let mut program = program.variable("PORT", "{port}").variable("HOST", "127.0.0.1");
        // Most servers do not start without, whatever they keep their data in.
        for (name, value) in SECRETS {
            program = program.variable(name, value);
        }
        for (name, value) in settings {
            let is_ours = name.starts_with("--");
            if is_ours && !VARIABLES.contains(&variable(name).as_str()) {
                return Err(LaunchError::Unsupported(format!(
                    "needs a server with the setting {name}"
                )));
            }
            program = program.variable(variable(name), *value);
        }
        Ok(program.ready(self.ready.clone().map_or(Ready::Answer, Ready::Http)))
    }
}
