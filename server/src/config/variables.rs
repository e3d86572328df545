//! Every variable, once.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::parse;
use super::{CorsConfig, Environment, LogLevel, Secret};

/// A setting: its flag, its help and its place in `.env.example` are made from this.
#[derive(Debug)]
pub struct Variable {
    /// In the environment and in `.env`; the flag is the same in kebab-case.
    pub name: &'static str,
    pub initial: Initial,
    /// What it does.
    pub help: &'static str,
    /// What it takes, as a phrase. Also tells what to do after an error.
    pub takes: &'static str,
    /// Its value is never printed.
    pub secret: bool,
    pub(super) read: fn(&mut Draft, &str) -> Result<(), String>,
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    Value(&'static str),
    /// Depends on other things, told in words.
    Unset {
        means: &'static str,
        sample: &'static str,
    },
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) environment: Environment,
    pub(super) host: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) data_dir: PathBuf,
    pub(super) mongodb_uri: Option<Secret>,
    pub(super) redis_url: Option<Secret>,
    pub(super) redis_prefix: String,
    pub(super) access_secret: Option<Secret>,
    pub(super) access_lifetime: Duration,
    pub(super) refresh_secret: Option<Secret>,
    pub(super) refresh_lifetime: Duration,
    pub(super) window: Duration,
    pub(super) request_max: u32,
    pub(super) auth_max: u32,
    pub(super) socket_max: u32,
    pub(super) authenticate_within: Duration,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) cors: CorsConfig,
    pub(super) metrics_addr: Option<SocketAddr>,
    pub(super) metrics_token: Option<Secret>,
    pub(super) log_level: LogLevel,
    pub(super) log_dir: Option<PathBuf>,
}

const SECRET: &str = "at least 32 bytes that nobody can guess, another one for each: openssl rand -base64 48";
const LIFETIME: &str = "a duration of at least 1s: 15m, 1h, 7d; a bare number is seconds";
const LIMIT: &str = "a whole number; 0 switches the limit off";

pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "NODE_ENV",
        initial: Initial::Value("development"),
        help: "How strict the server is with its settings, and how it logs",
        takes: "development, test or production",
        secret: false,
        read: |draft, text| set(&mut draft.environment, parse::environment(text)),
    },
    Variable {
        name: "HOST",
        initial: Initial::Unset {
            means: "127.0.0.1; in production 0.0.0.0",
            sample: "127.0.0.1",
        },
        help: "The address to listen on",
        takes: "an IP address; 0.0.0.0 or :: for all of this machine",
        secret: false,
        read: |draft, text| set(&mut draft.host, parse::host(text).map(Some)),
    },
    Variable {
        name: "PORT",
        initial: Initial::Value("3000"),
        help: "The port to listen on",
        takes: "0 to 65535; 0 takes a free one",
        secret: false,
        read: |draft, text| set(&mut draft.port, parse::number(text, 0, 65_535).map(|port| port as u16)),
    },
    Variable {
        name: "DATA_DIR",
        initial: Initial::Value("data"),
        help: "Where the embedded store lives; made if it is missing",
        takes: "a directory that the server may write to",
        secret: false,
        read: |draft, text| set(&mut draft.data_dir, directory(text)),
    },
    Variable {
        name: "MONGODB_URI",
        initial: Initial::Unset {
            means: "the embedded store under DATA_DIR",
            sample: "mongodb://localhost:27017/chat",
        },
        help: "A MongoDB replica set to keep the data in, instead of the embedded store",
        takes: "mongodb://[user:password@]host[:port][,…][/database][?options], or mongodb+srv://…; the database is chat when \
                none is named; special characters of user and password are percent-encoded",
        secret: true,
        read: |draft, text| {
            let uri = parse::mongodb_uri(text);
            set(&mut draft.mongodb_uri, uri.map(|uri| Some(Secret(uri))))
        },
    },
    Variable {
        name: "REDIS_URL",
        initial: Initial::Unset {
            means: "one node on its own",
            sample: "redis://localhost:6379",
        },
        help: "A Redis that joins several nodes into one deployment; needs MONGODB_URI, the same for all",
        takes: "an address: redis://HOST:PORT, redis://:PASSWORD@HOST:PORT",
        secret: true,
        read: |draft, text| set(&mut draft.redis_url, parse::redis(text).map(|url| Some(Secret(url)))),
    },
    Variable {
        name: "REDIS_PREFIX",
        initial: Initial::Value("chat"),
        help: "Keeps deployments apart that use the same Redis; the same for all nodes of one",
        takes: "1 to 64 letters, digits, _ and -",
        secret: false,
        read: |draft, text| set(&mut draft.redis_prefix, parse::word(text)),
    },
    Variable {
        name: "JWT_SECRET",
        initial: Initial::Unset {
            means: "made and kept in DATA_DIR; in production it must be given",
            sample: "sample-access-secret-replace-me-before-production",
        },
        help: "Signs access tokens",
        takes: SECRET,
        secret: true,
        read: |draft, text| set(&mut draft.access_secret, Ok(Some(Secret(text.into())))),
    },
    Variable {
        name: "JWT_EXPIRES_IN",
        initial: Initial::Value("15m"),
        help: "How long an access token lives",
        takes: LIFETIME,
        secret: false,
        read: |draft, text| set(&mut draft.access_lifetime, parse::duration(text)),
    },
    Variable {
        name: "JWT_REFRESH_SECRET",
        initial: Initial::Unset {
            means: "made and kept in DATA_DIR; in production it must be given",
            sample: "sample-refresh-secret-replace-me-before-production",
        },
        help: "Signs refresh tokens",
        takes: SECRET,
        secret: true,
        read: |draft, text| set(&mut draft.refresh_secret, Ok(Some(Secret(text.into())))),
    },
    Variable {
        name: "JWT_REFRESH_EXPIRES_IN",
        initial: Initial::Value("7d"),
        help: "How long a refresh token lives, and with it an unused session",
        takes: LIFETIME,
        secret: false,
        read: |draft, text| set(&mut draft.refresh_lifetime, parse::duration(text)),
    },
    Variable {
        name: "RATE_LIMIT_WINDOW_MS",
        initial: Initial::Value("900000"),
        help: "The window of the two limits on requests, in milliseconds",
        takes: "a whole number from 1 to 2678400000 (31 days)",
        secret: false,
        read: |draft, text| {
            let window = parse::number(text, 1, 2_678_400_000);
            set(&mut draft.window, window.map(Duration::from_millis))
        },
    },
    Variable {
        name: "RATE_LIMIT_MAX_REQUESTS",
        initial: Initial::Value("100"),
        help: "Requests per window, by user when authenticated, else by address",
        takes: LIMIT,
        secret: false,
        read: |draft, text| set(&mut draft.request_max, limit(text)),
    },
    Variable {
        name: "AUTH_RATE_LIMIT_MAX_REQUESTS",
        initial: Initial::Value("20"),
        help: "Logins, registrations and refreshes per window, by address",
        takes: LIMIT,
        secret: false,
        read: |draft, text| set(&mut draft.auth_max, limit(text)),
    },
    Variable {
        name: "SOCKET_RATE_LIMIT_MAX_EVENTS",
        initial: Initial::Value("200"),
        help: "Socket events per 10 s, by user, before authentication by address",
        takes: LIMIT,
        secret: false,
        read: |draft, text| set(&mut draft.socket_max, limit(text)),
    },
    Variable {
        name: "SOCKET_AUTHENTICATE_WITHIN",
        initial: Initial::Value("10s"),
        help: "How long a socket may stay unauthenticated (10s by contract); without CONNECT, 5s more",
        takes: "a duration from 1s to 10s",
        secret: false,
        read: |draft, text| set(&mut draft.authenticate_within, parse::authenticate_within(text)),
    },
    Variable {
        name: "TRUSTED_PROXIES",
        initial: Initial::Unset {
            means: "nobody",
            sample: "loopback,10.0.0.0/8",
        },
        help: "Whose X-Forwarded-For is believed",
        takes: "addresses and networks with commas between: 10.0.0.1,192.168.0.0/16; also loopback, linklocal, uniquelocal",
        secret: false,
        read: |draft, text| set(&mut draft.trusted_proxies, parse::networks(text)),
    },
    Variable {
        name: "CORS_ORIGIN",
        initial: Initial::Value("*"),
        help: "Which web pages may call",
        takes: "* or origins with commas between: https://chat.example,http://localhost:5173",
        secret: false,
        read: |draft, text| set(&mut draft.cors, parse::cors(text)),
    },
    Variable {
        name: "LOG_LEVEL",
        initial: Initial::Value("info"),
        help: "How much is logged",
        takes: "error, warn, info, http, verbose, debug or silly",
        secret: false,
        read: |draft, text| set(&mut draft.log_level, parse::log_level(text)),
    },
    Variable {
        name: "LOG_DIR",
        initial: Initial::Unset {
            means: "standard error alone",
            sample: "logs",
        },
        help: "Also log into files here, a new one each day; the last 14 are kept",
        takes: "a directory that the server may write to",
        secret: false,
        read: |draft, text| set(&mut draft.log_dir, directory(text).map(Some)),
    },
    Variable {
        name: "METRICS_ADDR",
        initial: Initial::Unset {
            means: "no listener of its own",
            sample: "127.0.0.1:9464",
        },
        help: "A listener of its own for /metrics, /health and /ready, without a token: keep it private",
        takes: "an IP address with a port, another than the server's: 127.0.0.1:9464",
        secret: false,
        read: |draft, text| set(&mut draft.metrics_addr, parse::address(text).map(Some)),
    },
    Variable {
        name: "METRICS_TOKEN",
        initial: Initial::Unset {
            means: "no /metrics on the server's own port",
            sample: "sample-metrics-token-replace-me",
        },
        help: "The bearer token that opens /metrics on the server's own port",
        takes: "printable ASCII without spaces, hard to guess: openssl rand -hex 24",
        secret: true,
        read: |draft, text| {
            set(
                &mut draft.metrics_token,
                parse::bearer(text).map(|token| Some(Secret(token))),
            )
        },
    },
];

impl Initial {
    /// For `--help`.
    pub fn described(&self) -> String {
        match self {
            Self::Value(value) => format!("Default: {value}"),
            Self::Unset { means, .. } => format!("Default: {means}"),
        }
    }
}

impl Variable {
    /// `--rate-limit-window-ms` without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    pub(super) fn find(name: &str) -> Option<&'static Variable> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }
}

fn set<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    value.map(|value| *place = value)
}

fn limit(text: &str) -> Result<u32, String> {
    parse::number(text, 0, u64::from(u32::MAX)).map(|max| max as u32)
}

fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() && !path.is_dir() {
        return Err("is not a directory".into());
    }
    Ok(path)
}
