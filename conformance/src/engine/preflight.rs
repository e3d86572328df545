//! What would make hundreds of cases fail for one reason, found before they run.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PASSWORD, Target};

/// A case asks some hundred times, and many run at once.
const QUOTA: u64 = 20_000;
/// Timestamps are compared within seconds.
const SKEW: i64 = 30;
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that was found.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The run would say nothing about the server.
    pub fatal: bool,
    pub node: String,
    pub text: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.text)
    }
}

/// Looks at every node. `quota` is what the target is known to allow within a window, when its limits cannot be lifted.
pub async fn preflight(target: &Target, quota: Option<u64>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for node in &target.nodes {
        let look = Look {
            target,
            node,
            quota: quota.unwrap_or(QUOTA),
            troubles: &mut troubles,
        };
        look.all().await;
    }
    troubles
}

struct Look<'a> {
    target: &'a Target,
    node: &'a str,
    quota: u64,
    troubles: &'a mut Vec<Trouble>,
}

impl Look<'_> {
    fn found(&mut self, fatal: bool, text: impl Into<String>) {
        let node = self.node.to_owned();
        let text = text.into();
        self.troubles.push(Trouble { fatal, node, text });
    }

    async fn all(mut self) {
        let request = self.target.http.get(format!("{}/api/users/online", self.node));
        match request.timeout(PATIENCE).send().await {
            Err(error) => {
                let why = super::http::because(&error);
                self.found(true, format!("there is no server: {why}"));
                return;
            }
            Ok(response) => {
                let header = |name: &str| {
                    let value = response.headers().get(name);
                    value
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default()
                        .to_owned()
                };
                let (policy, date) = (header("ratelimit-policy"), header("date"));
                self.quota_of(&policy);
                self.clock(&date);
            }
        }
        self.door().await;
        self.socket().await;
    }

    fn quota_of(&mut self, policy: &str) {
        if let Some(quota) = quota(policy).filter(|quota| *quota < self.quota) {
            self.found(
                true,
                format!(
                    "its rate limit is too low: {quota} requests (RateLimit-Policy: {policy}). Set RATE_LIMIT_MAX_REQUESTS, \
                     AUTH_RATE_LIMIT_MAX_REQUESTS and SOCKET_RATE_LIMIT_MAX_EVENTS to 0 for this run, or say in \
                     conformance.toml what it allows: [limits] requests = {quota}"
                ),
            );
        }
    }

    fn clock(&mut self, date: &str) {
        let Ok(theirs) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date) else {
            return;
        };
        let skew = theirs.as_second() - jiff::Timestamp::now().as_second();
        if skew.abs() > SKEW {
            self.found(
                false,
                format!("its clock is {skew} s off: tokens and timestamps will look wrong"),
            );
        }
    }

    /// Whether somebody can register at all.
    async fn door(&mut self) {
        let username = format!("preflight_{:010x}", rand::random::<u64>() & 0xff_ffff_ffff);
        let body = json!({"username": username, "email": format!("{username}@example.org"), "password": PASSWORD, "confirmPassword": PASSWORD});
        let url = format!("{}/api/auth/register", self.node);
        match self.target.http.post(url).json(&body).timeout(PATIENCE).send().await {
            Err(error) => {
                let why = super::http::because(&error);
                self.found(true, format!("register was not answered: {why}"));
            }
            Ok(response) => {
                let status = response.status().as_u16();
                let policy = response
                    .headers()
                    .get("ratelimit-policy")
                    .and_then(|value| value.to_str().ok());
                let policy = policy.unwrap_or_default().to_owned();
                let body: Value = response.json().await.unwrap_or_default();
                match status {
                    201 => self.quota_of(&policy),
                    429 => self.found(
                        true,
                        "it limits registrations already: set AUTH_RATE_LIMIT_MAX_REQUESTS to 0 for this run",
                    ),
                    _ => {
                        let code = body["code"].as_str().unwrap_or("no code");
                        self.found(
                            false,
                            format!("register answered {status} ({code}): nearly every case needs a user"),
                        );
                    }
                }
            }
        }
    }

    async fn socket(&mut self) {
        let url = format!("{}/socket.io/?EIO=4&transport=polling", self.node);
        let answer = async {
            let response = self.target.http.get(url).timeout(PATIENCE).send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        match answer.await {
            Ok((200, text)) if text.starts_with("0{") => {}
            Ok((status, _)) => self.found(
                false,
                format!("/socket.io/ answered {status} and no engine.io 4 OPEN: every case with a socket will be inconclusive"),
            ),
            Err(error) => {
                let why = super::http::because(&error);
                self.found(false, format!("/socket.io/ was not answered: {why}"));
            }
        }
    }
}

/// The quota of a `RateLimit-Policy`.
fn quota(policy: &str) -> Option<u64> {
    let parameters = policy.split(',').next()?.split(';').skip(1);
    parameters
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == "q")?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_from_its_policy() {
        assert_eq!(quota("\"default\";q=100;w=900"), Some(100));
        assert_eq!(quota("\"default\"; w=900; q=7"), Some(7));
        assert_eq!(quota("100;w=900"), None);
        assert_eq!(quota(""), None);
    }
}
