//! One struct, every variable.
//!
//! [`VARIABLES`] is the only list of them: flags, `--help`, `.env.example` and `check-config` are made from it.
//! [`Settings::read`] judges what the [`Sources`] say and names every error at once; [`Settings::into_config`] adds the
//! secrets, which development makes and keeps by itself.

mod example;
mod parse;
mod secrets;
mod settings;
mod sources;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use example::env_example;
pub use settings::{Effective, Problem, Problems, Settings};
pub use sources::{Origin, Sources};
pub use variables::{VARIABLES, Variable};

/// How the server runs. Secrets do not print.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST` and `PORT`; port 0 takes a free one.
    pub listen: SocketAddr,
    pub environment: Environment,
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
    /// `MONGODB_URI`: the store is there instead of under `data_dir`.
    pub mongodb_uri: Option<Secret>,
    /// `REDIS_URL`: what joins several nodes; without it there is one.
    pub redis: Option<RedisConfig>,
    /// `JWT_SECRET`, `JWT_EXPIRES_IN`.
    pub access: TokenConfig,
    /// `JWT_REFRESH_SECRET`, `JWT_REFRESH_EXPIRES_IN`.
    pub refresh: TokenConfig,
    /// `RATE_LIMIT_MAX_REQUESTS` per `RATE_LIMIT_WINDOW_MS`.
    pub request_limit: LimitConfig,
    /// `AUTH_RATE_LIMIT_MAX_REQUESTS` per `RATE_LIMIT_WINDOW_MS`.
    pub auth_limit: LimitConfig,
    /// `SOCKET_RATE_LIMIT_MAX_EVENTS` per 10 s.
    pub socket_limit: LimitConfig,
    /// `SOCKET_AUTHENTICATE_WITHIN`: how long a socket may stay without authenticating; a connection without a socket,
    /// 5 s longer.
    pub authenticate_within: Duration,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
    /// `CORS_ORIGIN`: `*` or a list of origins.
    pub cors: CorsConfig,
    /// `METRICS_ADDR`: a listener of its own for `/metrics`.
    pub metrics_addr: Option<SocketAddr>,
    /// `METRICS_TOKEN`: opens `/metrics` on the main listener. Without both there is no `/metrics`.
    pub metrics_token: Option<Secret>,
    /// `LOG_LEVEL`, by winston's names.
    pub log_level: LogLevel,
    /// `LOG_DIR`: daily files beside standard error.
    pub log_dir: Option<PathBuf>,
}

impl Config {
    /// For a server within another program, such as a test: on a free port of this machine alone, everything in this directory, no
    /// limits, errors logged and nothing else.
    pub fn embedded(data_dir: &Path, access: TokenConfig, refresh: TokenConfig) -> Self {
        let off = LimitConfig {
            max: 0,
            window: Duration::from_secs(900),
        };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: Environment::Test,
            data_dir: data_dir.to_owned(),
            mongodb_uri: None,
            redis: None,
            access,
            refresh,
            request_limit: off,
            auth_limit: off,
            socket_limit: LimitConfig {
                window: Duration::from_secs(10),
                ..off
            },
            authenticate_within: Duration::from_secs(10),
            trusted_proxies: Vec::new(),
            cors: CorsConfig::Any,
            metrics_addr: None,
            metrics_token: None,
            log_level: LogLevel::Error,
            log_dir: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Environment {
    #[default]
    Development,
    Test,
    Production,
}

#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// May carry a password.
    pub url: Secret,
    /// `REDIS_PREFIX`: keeps deployments apart that use the same Redis.
    pub prefix: String,
}

#[derive(Debug, Clone)]
pub struct TokenConfig {
    pub secret: Secret,
    pub lifetime: Duration,
}

/// `max` per `window`; 0 switches the limit off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitConfig {
    pub max: u32,
    pub window: Duration,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsConfig {
    #[default]
    Any,
    Origins(Vec<String>),
}

/// winston's level names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Http,
    Verbose,
    Debug,
    Silly,
}

/// A text that does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
