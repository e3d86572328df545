//! What the tests' servers are told.

use std::path::Path;
use std::time::Duration;

use chat_server::config::{Config, CorsConfig, Environment, LimitConfig, LogLevel, Secret, TokenConfig};

/// A free port, no limits, everything in this directory.
pub(crate) fn of_tests(dir: &Path) -> Config {
    let off = LimitConfig {
        max: 0,
        window: Duration::from_secs(900),
    };
    let token = |secret: &str, seconds| TokenConfig {
        secret: Secret(secret.into()),
        lifetime: Duration::from_secs(seconds),
    };
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        environment: Environment::Test,
        data_dir: dir.to_owned(),
        mongodb_uri: None,
        redis: None,
        access: token("signs the access tokens of these tests", 900),
        refresh: token("signs the refresh tokens of these tests", 7200),
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
