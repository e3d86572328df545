//! Rate limits, on servers with low ones.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::quota::{all_have, least, quotas};
use crate::engine::{Answer, Connection, Device, Outcome, Stop, Transport, World};
use crate::launch::BY_DEFAULT;

cases!("limits":
    requests_are_counted_by_user [
        LIMITS_HEADERS_COUNT_DOWN, LIMITS_REQUESTS_PER_USER, LIMITS_REQUESTS_RETRY_AFTER,
        PRECEDENCE_RATE_LIMIT_BEFORE_TOKEN,
    ],
    the_door_has_a_bucket_of_its_own [LIMITS_AUTH_OWN_BUCKET],
    forwarded_addresses_are_not_believed [LIMITS_FORWARDED_UNTRUSTED],
    events_are_counted_by_user [LIMITS_EVENTS_OVER],
    strangers_are_counted_by_address [LIMITS_HEADERS_STRUCTURED, LIMITS_REQUESTS_BY_ADDRESS],
    trusted_proxies_are_believed [LIMITS_FORWARDED_TRUSTED],
    guests_on_sockets_are_counted_by_address [LIMITS_EVENTS_BY_ADDRESS],
    the_quotas_without_settings [LIMITS_EVENTS_DEFAULT, LIMITS_REQUESTS_DEFAULT],
    what_is_off_is_off [LIMITS_ZERO_LOGGED, LIMITS_ZERO_OFF],
);

/// Ten seconds in which the events of a user are counted together, whether a server counts from the first of them or from full
/// tens of seconds.
pub(crate) struct EventWindow(u64);

impl EventWindow {
    const SECONDS: u64 = 10;
    /// What a case has at least.
    const LEAST: Duration = Duration::from_secs(4);

    /// Before the first event.
    pub(crate) async fn opens() -> Self {
        let now = Self::now();
        let left = Duration::from_secs(Self::SECONDS * (Self::ten(now) + 1)) - now;
        if left < Self::LEAST {
            tokio::time::sleep(left).await;
        }
        Self(Self::ten(Self::now()))
    }

    /// Ends the case when the window may be over.
    pub(crate) fn must_be_open(&self) -> Outcome {
        match Self::ten(Self::now()) == self.0 {
            true => Ok(()),
            false => Err(Stop::TooSlow("the window of the limit was over too soon".into())),
        }
    }

    /// Judges that an event over the limit that asks for no ack is answered by an error that fits.
    pub(crate) async fn judge_error(
        &self,
        w: &World,
        device: &Device,
        event: &str,
        payload: Value,
        fits: impl Fn(&Value) -> bool,
    ) -> Outcome {
        device.emit(event, payload.clone());
        // When this one is answered, that one was counted.
        device.ask(event, payload).await?;
        self.must_be_open()?;
        let is_told = |error: &Value| error["code"] == "RATE_LIMITED" && fits(error);
        w.arrives(&req::LIMITS_EVENTS_OVER, device, "error", is_told).await?;
        Ok(())
    }

    fn now() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn ten(at: Duration) -> u64 {
        at.as_secs() / Self::SECONDS
    }
}

fn remaining(answer: &Answer) -> Option<u64> {
    least(answer.header("ratelimit"), "r")
}

async fn requests_are_counted_by_user(w: World) -> Outcome {
    let server = super::launch(&w, &[("--rate-limit-max-requests", "6")]).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let (one, two) = (ann.get("/api/auth/profile").await?, ann.get("/api/auth/profile").await?);
    w.check(
        &req::LIMITS_HEADERS_COUNT_DOWN,
        remaining(&one) > remaining(&two),
        "a falling quota",
        format!("{} {}", one.header("ratelimit"), two.header("ratelimit")),
    );
    let mut last = two;
    for _ in 0..6 {
        last = ann.get("/api/auth/profile").await?;
    }
    w.refused(&req::LIMITS_REQUESTS_PER_USER, &last, 429, "RATE_LIMITED");
    let seconds = last.header("retry-after").parse::<u64>().ok();
    w.check(
        &req::LIMITS_REQUESTS_RETRY_AFTER,
        seconds.is_some() && last.body["retryAfter"].as_u64() == seconds,
        "Retry-After = retryAfter",
        format!("{seconds:?} {}", last.body["retryAfter"]),
    );
    w.success(
        &req::LIMITS_REQUESTS_PER_USER,
        &bob.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    for _ in 0..8 {
        last = ann.anonymous("GET", "/api/auth/profile").send().await?;
    }
    w.refused(&req::PRECEDENCE_RATE_LIMIT_BEFORE_TOKEN, &last, 429, "RATE_LIMITED");
    Ok(())
}

async fn the_door_has_a_bucket_of_its_own(w: World) -> Outcome {
    let server = super::launch(
        &w,
        &[
            ("--auth-rate-limit-max-requests", "4"),
            ("--rate-limit-max-requests", "50"),
        ],
    )
    .await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let login = || {
        ann.anonymous("POST", "/api/auth/login")
            .json(&json!({"identifier": "nobody", "password": "wrong password"}))
            .send()
    };
    let mut last = login().await?;
    for _ in 0..4 {
        last = login().await?;
    }
    w.refused(&req::LIMITS_AUTH_OWN_BUCKET, &last, 429, "RATE_LIMITED");
    let refresh = ann
        .anonymous("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": ann.refresh}))
        .send()
        .await?;
    w.refused(&req::LIMITS_AUTH_OWN_BUCKET, &refresh, 429, "RATE_LIMITED");
    w.success(
        &req::LIMITS_AUTH_OWN_BUCKET,
        &ann.get("/api/auth/profile").await?,
        200,
        None,
    )
}

async fn forwarded_addresses_are_not_believed(w: World) -> Outcome {
    let server = super::launch(&w, &[("--auth-rate-limit-max-requests", "3")]).await?;
    let mut last = None;
    for number in 0..5 {
        let request = w
            .request_to(&server.base, "POST", "/api/auth/login")
            .header("x-forwarded-for", &format!("10.0.0.{number}"));
        last = Some(
            request
                .json(&json!({"identifier": "nobody", "password": "wrong password"}))
                .send()
                .await?,
        );
    }
    if let Some(last) = last {
        w.refused(&req::LIMITS_FORWARDED_UNTRUSTED, &last, 429, "RATE_LIMITED");
    }
    Ok(())
}

async fn events_are_counted_by_user(w: World) -> Outcome {
    let server = super::launch(&w, &[("--socket-rate-limit-max-events", "10")]).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let (a1, b1) = (ann.device().await?, bob.device().await?);
    let window = EventWindow::opens().await;
    let mut last = json!(null);
    for _ in 0..12 {
        last = a1.ask("typing", json!({"to": bob.id, "isTyping": true})).await?;
    }
    window.must_be_open()?;
    w.refused_ack(&req::LIMITS_EVENTS_OVER, &last, "RATE_LIMITED");
    w.check(
        &req::LIMITS_EVENTS_OVER,
        last["error"]["retryAfter"].as_u64().is_some(),
        "retryAfter",
        &last,
    );
    window
        .judge_error(&w, &a1, "typing", json!({"to": bob.id, "isTyping": true}), |_| true)
        .await?;
    let ack = b1.ask("typing", json!({"to": ann.id, "isTyping": true})).await?;
    w.equal(&req::LIMITS_EVENTS_OVER, "others go on", true, ack["ok"].clone());
    Ok(())
}

async fn strangers_are_counted_by_address(w: World) -> Outcome {
    let server = super::launch(&w, &[("--rate-limit-max-requests", "4")]).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let requirement = &req::LIMITS_REQUESTS_BY_ADDRESS;
    let mut statuses = Vec::new();
    for path in ["/api/auth/profile", "/api/users/x", "/api/messages/chats"] {
        let call = || w.request_to(&server.base, "GET", path);
        statuses.push(call().send().await?.status);
        statuses.push(call().token("garbage").send().await?.status);
    }
    w.equal(
        requirement,
        "statuses of calls without a good token",
        json!([401, 401, 401, 401, 429, 429]),
        json!(statuses),
    );
    let good = ann.get("/api/auth/profile").await?;
    w.success(requirement, &good, 200, None)?;
    for (name, wanted) in [("ratelimit-policy", ["q", "w"]), ("ratelimit", ["r", "t"])] {
        let field = good.header(name);
        w.check(
            &req::LIMITS_HEADERS_STRUCTURED,
            all_have(field, &wanted),
            format!("{name}: \"…\" with {wanted:?}"),
            field,
        );
    }
    w.check(
        &req::LIMITS_HEADERS_STRUCTURED,
        least(good.header("ratelimit-policy"), "q") == Some(4),
        "a quota of 4",
        good.header("ratelimit-policy"),
    );
    Ok(())
}

/// A call at the door that costs the server nothing.
async fn knock(w: &World, base: &str, forwarded_for: Option<&str>) -> Result<Answer, Stop> {
    let mut request = w.request_to(base, "POST", "/api/auth/refresh-token");
    if let Some(address) = forwarded_for {
        request = request.header("x-forwarded-for", address);
    }
    request.json(&json!({"refreshToken": "garbage"})).send().await
}

async fn trusted_proxies_are_believed(w: World) -> Outcome {
    let settings = [
        ("--auth-rate-limit-max-requests", "2"),
        ("--trusted-proxies", "127.0.0.1"),
    ];
    let server = super::launch(&w, &settings).await?;
    let requirement = &req::LIMITS_FORWARDED_TRUSTED;
    for number in 0..6 {
        let answer = knock(&w, &server.base, Some(&format!("203.0.113.{number}"))).await?;
        w.refused(requirement, &answer, 401, "TOKEN_INVALID");
    }
    let mut last = knock(&w, &server.base, Some("203.0.113.9")).await?;
    for _ in 0..2 {
        last = knock(&w, &server.base, Some("203.0.113.9")).await?;
    }
    w.refused(requirement, &last, 429, "RATE_LIMITED");
    Ok(())
}

async fn guests_on_sockets_are_counted_by_address(w: World) -> Outcome {
    let server = super::launch(&w, &[("--socket-rate-limit-max-events", "5")]).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let requirement = &req::LIMITS_EVENTS_BY_ADDRESS;
    let window = EventWindow::opens().await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        let Connection::Open(guest) = ann.connect(Transport::Websocket, None).await? else {
            return Err(Stop::Inconclusive("a socket without a token was refused".into()));
        };
        for _ in 0..4 {
            let ack = guest.ask("update_status", json!({"status": "busy"})).await?;
            codes.push(ack["error"]["code"].clone());
        }
    }
    window.must_be_open()?;
    let mut expected = vec!["UNAUTHENTICATED"; 5];
    expected.resize(8, "RATE_LIMITED");
    w.equal(requirement, "codes on two sockets", json!(expected), Value::from(codes));
    let ack = ann
        .device()
        .await?
        .ask("update_status", json!({"status": "busy"}))
        .await?;
    w.equal(requirement, "users are counted apart", true, ack["ok"].clone());
    Ok(())
}

/// The codes of so many events at once.
async fn statuses_at_once(device: &Device, number: usize) -> Vec<Value> {
    let asked: Vec<_> = (0..number)
        .map(|_| device.ask_later("update_status", json!({"status": "busy"})))
        .collect();
    let mut codes = Vec::new();
    for answer in asked {
        let ack = device.answer(answer).await.unwrap_or_default();
        codes.push(ack["error"]["code"].clone());
    }
    codes
}

async fn the_quotas_without_settings(w: World) -> Outcome {
    let settings = [
        ("--rate-limit-max-requests", BY_DEFAULT),
        ("--auth-rate-limit-max-requests", BY_DEFAULT),
        ("--socket-rate-limit-max-events", BY_DEFAULT),
    ];
    let server = super::launch(&w, &settings).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let requirement = &req::LIMITS_REQUESTS_DEFAULT;
    let mut statuses = Vec::new();
    // The registration was the first of 20.
    for _ in 0..20 {
        statuses.push(knock(&w, &server.base, None).await?.status);
    }
    let allowed = statuses.iter().filter(|status| **status == 401).count();
    w.equal(requirement, "calls at the door", 19, allowed);
    let first = ann.get("/api/auth/profile").await?;
    let policy = quotas(first.header("ratelimit-policy")).unwrap_or_default();
    w.check(
        requirement,
        policy
            .iter()
            .any(|item| item.get("q") == Some(&100) && item.get("w") == Some(&900)),
        "100 in 900 seconds",
        first.header("ratelimit-policy"),
    );
    let mut last = first;
    for _ in 0..99 {
        last = ann.get("/api/auth/profile").await?;
    }
    w.success(requirement, &last, 200, None)?;
    w.refused(requirement, &ann.get("/api/auth/profile").await?, 429, "RATE_LIMITED");
    let device = ann.device().await?;
    let window = EventWindow::opens().await;
    let codes = statuses_at_once(&device, 201).await;
    window.must_be_open()?;
    let refused = codes.iter().filter(|code| *code == "RATE_LIMITED").count();
    w.check(
        &req::LIMITS_EVENTS_DEFAULT,
        refused == 1 && codes.last().is_some_and(|code| code == "RATE_LIMITED"),
        "the 201st event over the limit",
        format!("{refused} refused"),
    );
    Ok(())
}

async fn what_is_off_is_off(w: World) -> Outcome {
    let server = super::launch(&w, &[("--log-level", "info")]).await?;
    let ann = w.user_at(&server.base, "ann").await?;
    let requirement = &req::LIMITS_ZERO_OFF;
    let mut limited = 0;
    for _ in 0..25 {
        limited += u32::from(knock(&w, &server.base, None).await?.status == 429);
    }
    for _ in 0..110 {
        limited += u32::from(ann.get("/api/auth/profile").await?.status == 429);
    }
    let codes = statuses_at_once(&ann.device().await?, 250).await;
    limited += codes.iter().filter(|code| *code == "RATE_LIMITED").count() as u32;
    w.equal(requirement, "calls and events over a limit", 0, limited);
    for limit in &LIMITS {
        let line = server.logged(|line| limit.is_said_to_be_off(line)).await;
        w.check(
            &req::LIMITS_ZERO_LOGGED,
            line.is_some(),
            format!("a line that says of {} that it is off", limit.variable),
            "none",
        );
    }
    Ok(())
}

/// A limit, as logs may speak of it.
struct Limit {
    variable: &'static str,
    /// Beginnings of words that mean this one.
    words: &'static [&'static str],
}

const LIMITS: [Limit; 3] = [
    Limit {
        variable: "RATE_LIMIT_MAX_REQUESTS",
        words: &["request"],
    },
    Limit {
        variable: "AUTH_RATE_LIMIT_MAX_REQUESTS",
        words: &["auth", "login", "regist", "sign"],
    },
    Limit {
        variable: "SOCKET_RATE_LIMIT_MAX_EVENTS",
        words: &["socket", "event"],
    },
];

/// Words that say that something is off.
const OFF: [&str; 9] = [
    "off",
    "disabled",
    "unlimited",
    "unrestricted",
    "inactive",
    "none",
    "no",
    "without",
    "0",
];

impl Limit {
    /// Whether a line of a log says so: by the name of the variable, or in words of its own about this limit or all of them.
    fn is_said_to_be_off(&self, line: &str) -> bool {
        // One name is the end of another.
        let mut names = line.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        if names.any(|word| word == self.variable) {
            return true;
        }
        let line = line.to_lowercase();
        let words = || line.split(|c: char| !c.is_ascii_alphanumeric());
        let is_about = |limit: &Self| words().any(|word| limit.words.iter().any(|begin| word.starts_with(begin)));
        let about: Vec<&Self> = LIMITS.iter().filter(|limit| is_about(limit)).collect();
        let is_meant = match about.len() {
            0 | 3 => true,
            // A call at the door is a request too.
            _ => about.last().is_some_and(|limit| limit.variable == self.variable),
        };
        is_meant && line.contains("limit") && words().any(|word| OFF.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::LIMITS;

    #[test]
    fn a_limit_is_said_to_be_off_in_any_words() {
        let said_of = |line: &str| LIMITS.each_ref().map(|limit| limit.is_said_to_be_off(line));
        assert_eq!(
            said_of("RATE_LIMIT_MAX_REQUESTS is 0: this limit is off"),
            [true, false, false]
        );
        assert_eq!(said_of("AUTH_RATE_LIMIT_MAX_REQUESTS=0"), [false, true, false]);
        assert_eq!(said_of("Rate limits are disabled"), [true; 3]);
        assert_eq!(
            said_of("{\"msg\":\"no limit for socket events\"}"),
            [false, false, true]
        );
        assert_eq!(said_of("The limit of login requests is off"), [false, true, false]);
        assert_eq!(said_of("limits of requests, logins and events: off"), [true; 3]);
        assert_eq!(said_of("requests per user: unlimited"), [true, false, false]);
        for other in [
            "rate limit: 100 requests in 900 s",
            "the cache is off",
            "listening on port 3000",
        ] {
            assert_eq!(said_of(other), [false; 3], "{other}");
        }
    }
}
