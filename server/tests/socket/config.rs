//! What the tests' servers are told.

use std::path::Path;
use std::time::Duration;

use chat_server::config::{Config, Secret, TokenConfig};

/// A free port, no limits, everything in this directory.
pub(crate) fn of_tests(dir: &Path) -> Config {
    let token = |secret: &str, seconds| TokenConfig {
        secret: Secret(secret.into()),
        lifetime: Duration::from_secs(seconds),
    };
    Config::embedded(
        dir,
        token("signs the access tokens of these tests", 900),
        token("signs the refresh tokens of these tests", 7200),
    )
}
