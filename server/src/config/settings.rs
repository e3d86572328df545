//! From what the sources say to a configuration, or to everything that is wrong with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::secrets::{self, Judged};
use super::sources::{Origin, Sources};
use super::variables::{Draft, Initial, VARIABLES, Variable};
use super::{Config, Environment, LimitConfig, RedisConfig, Secret, TokenConfig};

/// The window of `SOCKET_RATE_LIMIT_MAX_EVENTS`.
const SOCKET_WINDOW: Duration = Duration::from_secs(10);

/// Settings that hold together; only secrets may still have to be made.
#[derive(Debug)]
pub struct Settings {
    draft: Draft,
    effective: Vec<Effective>,
    notices: Vec<String>,
}

/// What holds for a variable, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    /// Secrets are only said to be set.
    pub value: String,
    pub origin: Origin,
}

/// One thing that is wrong. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable, or `.env`.
    pub variable: String,
    pub wrong: String,
    /// What to do.
    pub remedy: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Settings {
    /// Judges every variable and then what must fit together. Touches nothing.
    pub fn read(sources: &Sources) -> Result<Self, Problems> {
        let (draft, effective, mut problems) = read_all(sources, VARIABLES.iter());
        let mut notices = Vec::new();
        let unknown: Vec<&str> = sources.unknown().collect();
        if !unknown.is_empty() {
            notices.push(format!(
                ".env has names that the server does not know: {}",
                unknown.join(", ")
            ));
        }
        match secrets::judge(&draft) {
            Judged::Refused(found) => problems.extend(found),
            Judged::Accepted(found) => notices.extend(found),
        }
        let unshared = sources.get("MONGODB_URI").is_none_or(|(_, value)| value.is_empty());
        if draft.redis_url.is_some() && unshared {
            problems.push(Problem::new(
                "REDIS_URL",
                "is set without MONGODB_URI, and nodes that are joined must have one store",
                "Set MONGODB_URI too, or remove REDIS_URL to run one node on the embedded store.",
            ));
        }
        if draft.redis_url.is_some() && (draft.access_secret.is_none() || draft.refresh_secret.is_none()) {
            notices.push(
                "JWT_SECRET and JWT_REFRESH_SECRET are not given: other nodes will refuse tokens of this one".into(),
            );
        }
        let port_free = draft.port == 0 || problems.iter().any(|problem| problem.variable == "PORT");
        if draft.metrics_addr.is_some_and(|addr| addr.port() == draft.port) && !port_free {
            problems.push(Problem::of("METRICS_ADDR", "has the port of the server itself"));
        }
        if draft.refresh_lifetime < draft.access_lifetime {
            notices
                .push("JWT_REFRESH_EXPIRES_IN is shorter than JWT_EXPIRES_IN: sessions end before their tokens".into());
        }
        for (name, max) in [
            ("RATE_LIMIT_MAX_REQUESTS", draft.request_max),
            ("AUTH_RATE_LIMIT_MAX_REQUESTS", draft.auth_max),
            ("SOCKET_RATE_LIMIT_MAX_EVENTS", draft.socket_max),
        ] {
            // A variable that failed to parse is 0 here, but then nobody reads the notices.
            if max == 0 && !fault!(ZeroUnlogged) {
                notices.push(format!("{name} is 0: this limit is off"));
            }
        }
        if problems.is_empty() {
            Ok(Self {
                draft,
                effective,
                notices,
            })
        } else {
            Err(Problems(problems))
        }
    }

    /// Every variable in the order of the table.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// What the operator should know at the start.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Adds the secrets: outside production the missing ones are read from, or made and kept in, the data directory.
    /// Also says what to tell the operator about it.
    pub fn into_config(self) -> Result<(Config, Vec<String>), Problems> {
        let Self { draft, mut notices, .. } = self;
        let secrets = secrets::complete(&draft).map_err(|problem| Problems(vec![problem]))?;
        notices.extend(secrets.notice);
        let per_window = |max| LimitConfig {
            max,
            window: draft.window,
        };
        let config = Config {
            listen: listen(&draft),
            environment: draft.environment,
            access: TokenConfig {
                secret: secrets.access,
                lifetime: draft.access_lifetime,
            },
            refresh: TokenConfig {
                secret: secrets.refresh,
                lifetime: draft.refresh_lifetime,
            },
            request_limit: per_window(draft.request_max),
            auth_limit: per_window(draft.auth_max),
            socket_limit: LimitConfig {
                max: draft.socket_max,
                window: SOCKET_WINDOW,
            },
            authenticate_within: draft.authenticate_within,
            data_dir: draft.data_dir,
            mongodb_uri: draft.mongodb_uri,
            redis: draft.redis_url.map(|url| RedisConfig {
                url,
                prefix: draft.redis_prefix,
            }),
            trusted_proxies: draft.trusted_proxies,
            cors: draft.cors,
            metrics_addr: draft.metrics_addr,
            metrics_token: draft.metrics_token,
            log_level: draft.log_level,
            log_dir: draft.log_dir,
        };
        Ok((config, notices))
    }

    /// Where the server listens, for commands that need nothing else.
    pub fn listen(sources: &Sources) -> Result<SocketAddr, Problems> {
        let needed = VARIABLES
            .iter()
            .filter(|variable| matches!(variable.name, "NODE_ENV" | "HOST" | "PORT"));
        let (draft, _, problems) = read_all(sources, needed);
        if problems.is_empty() {
            Ok(listen(&draft))
        } else {
            Err(Problems(problems))
        }
    }

    /// Where the store is, for commands that need nothing else: the directory, and the MongoDB that replaces it.
    pub fn store(sources: &Sources) -> Result<(PathBuf, Option<Secret>), Problems> {
        let needed = VARIABLES
            .iter()
            .filter(|variable| matches!(variable.name, "DATA_DIR" | "MONGODB_URI"));
        let (draft, _, problems) = read_all(sources, needed);
        if problems.is_empty() {
            Ok((draft.data_dir, draft.mongodb_uri))
        } else {
            Err(Problems(problems))
        }
    }
}

fn listen(draft: &Draft) -> SocketAddr {
    let host = draft.host.unwrap_or(match draft.environment {
        Environment::Production => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Environment::Development | Environment::Test => IpAddr::V4(Ipv4Addr::LOCALHOST),
    });
    SocketAddr::new(host, draft.port)
}

fn read_all(
    sources: &Sources,
    variables: impl Iterator<Item = &'static Variable>,
) -> (Draft, Vec<Effective>, Vec<Problem>) {
    let mut draft = Draft::default();
    let mut effective = Vec::new();
    let mut problems = sources.problems().to_vec();
    for variable in variables {
        let given = sources.get(variable.name).filter(|(_, value)| !value.is_empty());
        let (origin, text) = match (given, variable.initial) {
            (Some((origin, value)), _) => (origin, value.into_string()),
            (None, Initial::Value(value)) => (Origin::Default, Ok(value.to_owned())),
            (None, Initial::Unset { means, .. }) => {
                effective.push(Effective {
                    name: variable.name,
                    value: format!("({means})"),
                    origin: Origin::Default,
                });
                continue;
            }
        };
        let read = text
            .map_err(|_| "is not UTF-8".to_owned())
            .and_then(|text| (variable.read)(&mut draft, &text).map(|()| text));
        match read {
            Ok(text) => effective.push(Effective {
                name: variable.name,
                value: if variable.secret {
                    "(set, not shown)".into()
                } else {
                    text
                },
                origin,
            }),
            Err(wrong) => problems.push(Problem::of(variable.name, format!("{wrong} (from: {origin})"))),
        }
    }
    (draft, effective, problems)
}

impl Problem {
    pub(super) fn new(variable: &str, wrong: impl Into<String>, remedy: &str) -> Self {
        Self {
            variable: variable.into(),
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }

    /// With the remedy from the table.
    pub(super) fn of(variable: &str, wrong: impl Into<String>) -> Self {
        let takes = Variable::find(variable).map_or("", |variable| variable.takes);
        Self::new(variable, wrong, &format!("It takes {takes}."))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}. {}", self.variable, self.wrong, self.remedy)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "the configuration has {} error{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
