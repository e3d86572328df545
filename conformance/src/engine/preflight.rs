//! What would make hundreds of cases fail for one reason, found before they run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::body::Text;
use super::http::header;
use super::pace::{self, Counted};
use super::quota::tightest;
use super::{Stop, Target, User, World};

/// What a run asks of one address: registrations, logins and refreshes. Measured: 830.
const AUTH_CALLS: u64 = 1_500;
/// What a run asks of one address without a token. Measured: 460.
const GUEST_CALLS: u64 = 1_000;
/// What a case asks of one user at most. Measured: below 600.
const CALLS: u64 = 600;
/// What a case tells as one user within 10 s, but for floods. Measured: 200 to 400.
const EVENTS: u64 = 400;
/// With a margin for what comes back.
const EVENTS_WITHIN: Duration = Duration::from_secs(30);
/// Timestamps are compared within seconds.
const SKEW: i64 = 30;
const PATIENCE: Duration = Duration::from_secs(10);
const NO_CHAT_SERVER: &str = "neither can anybody register nor does a socket open, so there is nothing to judge: is this the address of \
                              a server of the chat API, and are its paths below /api and /socket.io?";

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

/// Looks at every node, and, where limits cannot be lifted, whether a run of all cases can end within `deadline`; none when only
/// some are run.
pub async fn preflight(target: &Target, deadline: Option<Duration>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for node in &target.nodes {
        let mut look = Look::at(node, target, &mut troubles);
        if look.greet().await {
            let guest = look.door().await;
            if let Some(guest) = &guest {
                look.events(guest).await;
            }
            // Some cases may have something to say of a server that has hardly been begun, all of them have not.
            if !look.socket().await && guest.is_none() && deadline.is_some() {
                look.found(true, NO_CHAT_SERVER);
                // First, and what each of them was answered belongs to it.
                let from = look.troubles.iter().position(|trouble| trouble.node == *node);
                let here = &mut look.troubles[from.unwrap_or_default()..];
                here.iter_mut().for_each(|trouble| trouble.fatal = true);
                here.rotate_right(1);
            }
        }
    }
    if let (Some(node), Some(deadline)) = (target.nodes.first(), deadline) {
        Look::at(node, target, &mut troubles).length(deadline);
    }
    troubles
}

struct Look<'a> {
    target: &'a Target,
    node: &'a str,
    /// What is told here no log shows either.
    world: World,
    troubles: &'a mut Vec<Trouble>,
}

impl<'a> Look<'a> {
    fn at(node: &'a str, target: &'a Target, troubles: &'a mut Vec<Trouble>) -> Self {
        Self {
            target,
            node,
            world: World::new(target.clone(), 0),
            troubles,
        }
    }

    fn found(&mut self, fatal: bool, text: impl Into<String>) {
        let node = self.node.to_owned();
        let text = text.into();
        self.troubles.push(Trouble { fatal, node, text });
    }

    /// Whether there is a server at all.
    async fn greet(&mut self) -> bool {
        let request = self.target.http.get(format!("{}/api/users/online", self.node));
        match request.timeout(PATIENCE).send().await {
            Err(error) => {
                let why = super::http::because(&error);
                self.found(true, format!("there is no server: {why}"));
                false
            }
            Ok(response) => {
                let header = |name| header(response.headers(), name);
                self.quota_of(Counted::Guest, header("ratelimit-policy"), header("ratelimit"));
                self.clock(header("date"));
                true
            }
        }
    }

    /// A limit must be known that is below what a run asks for; what of it is used up already counts.
    fn quota_of(&mut self, counted: Counted, policy: &str, state: &str) {
        let Some((quota, of_policy)) = tightest(policy, "q") else {
            return;
        };
        let limits = &self.target.limits;
        let (known, needed, name) = match counted {
            Counted::Auth => (limits.auth_requests, AUTH_CALLS, "auth-requests"),
            Counted::Guest | Counted::User => (limits.requests, GUEST_CALLS.max(CALLS), "requests"),
        };
        let window = of_policy.get("w").copied();
        let said = limits.window.as_secs();
        if let Some(window) = window.filter(|window| known.is_some() && *window > said) {
            self.found(
                true,
                format!("it counts within {window} s (RateLimit-Policy: {policy}), and [limits] says window-seconds = {said}"),
            );
        }
        let (left, of_state) = tightest(state, "r").unwrap_or_else(|| (quota, BTreeMap::new()));
        self.target.pace.spent(counted, quota.saturating_sub(left));
        if known.is_none() && quota >= needed && left < needed {
            let over = of_state.get("t").copied().unwrap_or_default();
            self.found(
                true,
                format!("of its {quota} requests (RateLimit-Policy: {policy}) {left} are left, and {needed} are needed: begin again in {over} s"),
            );
        }
        let enough = known.unwrap_or(needed);
        if quota < enough {
            let window = window.map_or(String::new(), |window| format!(", window-seconds = {window}"));
            let least = match counted {
                Counted::Guest if quota < CALLS => format!(" (at least {CALLS}: so often do cases ask as one user)"),
                _ => String::new(),
            };
            self.found(
                true,
                format!(
                    "its rate limit is too low: {quota} requests (RateLimit-Policy: {policy}), and {enough} are needed. Set \
                     RATE_LIMIT_MAX_REQUESTS, AUTH_RATE_LIMIT_MAX_REQUESTS and SOCKET_RATE_LIMIT_MAX_EVENTS to 0 for this run, or \
                     say in conformance.toml what it allows, and the run takes as long as that needs: [limits] {name} = \
                     {quota}{least}{window}"
                ),
            );
        }
    }

    /// Who waits for a limit still needs the token from before: more than once in a case.
    fn tokens_last(&mut self, expires_in: &Value) {
        let limits = self.target.limits.clone();
        let waits = |limit: Option<u64>, needed| limit.is_some_and(|limit| pace::used(limit) < needed);
        if !waits(limits.auth_requests, AUTH_CALLS) && !waits(limits.requests, GUEST_CALLS) {
            return;
        }
        let least = limits.window.as_secs().saturating_mul(3);
        if let Some(seconds) = expires_in.as_u64().filter(|seconds| *seconds < least) {
            self.found(
                true,
                format!(
                    "its access tokens live for {seconds} s, and cases that stay below [limits] wait for windows of {} s: let them \
                     live for {least} s or more (JWT_EXPIRES_IN), or allow {} auth-requests, for which nobody has to wait",
                    limits.window.as_secs(),
                    AUTH_CALLS * 10 / 9
                ),
            );
        }
    }

    /// How long a run must take that stays below the limits.
    fn length(&mut self, deadline: Duration) {
        let limits = self.target.limits.clone();
        if let Some(requests) = limits.requests.filter(|requests| *requests < CALLS) {
            self.found(
                true,
                format!("[limits] requests = {requests}: cases ask up to {CALLS} times as one user within a window"),
            );
        }
        let mut longest = Duration::ZERO;
        for (limit, needed) in [(limits.auth_requests, AUTH_CALLS), (limits.requests, GUEST_CALLS)] {
            // What the first window allows goes at once.
            let windows = limit.map_or(0, |limit| needed.div_ceil(pace::used(limit)).saturating_sub(1));
            longest = longest.max(limits.window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX)));
        }
        if longest >= deadline {
            self.found(
                true,
                format!(
                    "with these [limits] a whole run takes some {} minutes: --deadline {} or more, or higher limits",
                    longest.as_secs().div_ceil(60),
                    longest.as_secs().saturating_mul(2)
                ),
            );
        }
    }

    /// Whether it limits the events of a socket.
    async fn events(&mut self, guest: &User) {
        let known = self.target.limits.events;
        let told = tokio::time::timeout(EVENTS_WITHIN, tell(guest, EVENTS)).await;
        let Ok(Ok(Some(allowed))) = told else {
            // Whatever else is wrong with sockets is said by who opens one, or by cases.
            return;
        };
        self.found(
            known.is_none_or(|known| allowed < known),
            format!(
                "its limit of socket events is too low: after {allowed} events of one user it answered RATE_LIMITED. Set \
                 SOCKET_RATE_LIMIT_MAX_EVENTS to 0 for this run, or say in conformance.toml what it allows, and cases that tell more \
                 cannot be judged: [limits] events = {allowed}"
            ),
        );
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

    /// Somebody who has registered, if one can.
    async fn door(&mut self) -> Option<User> {
        let register = self.world.request_to(self.node, "POST", "/api/auth/register");
        let register = register.json(&self.world.registration("preflight")).at_once();
        let answer = match register.send_patiently(PATIENCE / 2).await {
            Ok(answer) => answer,
            Err(stop) => {
                self.found(true, format!("it answers no registration: {}", stop.reason()));
                return None;
            }
        };
        match answer.status {
            201 => {
                self.quota_of(Counted::Auth, answer.header("ratelimit-policy"), answer.header("ratelimit"));
                self.tokens_last(&answer.body["tokens"]["expiresIn"]);
                return Some(User::of(&self.world, self.node, &answer));
            }
            429 => self.found(
                true,
                format!(
                    "it limits registrations already: set AUTH_RATE_LIMIT_MAX_REQUESTS to 0 for this run, or begin it again in {} s",
                    answer.header("retry-after")
                ),
            ),
            status => {
                let code = answer.body["code"].as_str().unwrap_or("no code");
                self.found(
                    false,
                    format!("register answered {status} ({code}): nearly every case needs a user"),
                );
            }
        }
        None
    }

    /// Whether sockets open.
    async fn socket(&mut self) -> bool {
        let url = format!("{}/socket.io/?EIO=4&transport=polling", self.node);
        let answer = async {
            let asked = self.target.http.get(url).timeout(PATIENCE).send().await;
            let response = asked.map_err(|error| super::http::because(&error))?;
            let status = response.status().as_u16();
            Ok::<_, String>((status, Text::strictly_of(response).await?))
        };
        match answer.await {
            Ok((200, text)) if text.starts_with("0{") => return true,
            Ok((status, _)) => self.found(
                false,
                format!("/socket.io/ answered {status} and no engine.io 4 OPEN: every case with a socket will be inconclusive"),
            ),
            Err(why) => self.found(false, format!("/socket.io/ was not answered: {why}")),
        }
        false
    }
}

/// Tells so many events as one user; after how many a limit was met, if one was.
async fn tell(guest: &User, events: u64) -> Result<Option<u64>, Stop> {
    let device = guest.device().await?;
    // A chat that there is not: refused each time, and counted.
    let payload = json!({"chatId": "preflight"});
    let told: Vec<_> = (0..events)
        .map(|_| device.ask_later("join_chat", payload.clone()))
        .collect();
    for (number, ack) in (0..).zip(told) {
        let ack = device.answer(ack).await.unwrap_or_default();
        if ack["error"]["code"] == "RATE_LIMITED" {
            return Ok(Some(number));
        }
    }
    Ok(None)
}
