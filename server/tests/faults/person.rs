//! Somebody with an account, whose session outlives the nodes.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take that must happen. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    session: Mutex<Session>,
    http: reqwest::Client,
}

#[derive(Clone)]
struct Session {
    access: String,
    refresh: String,
    password: String,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// A refusal that promises that a retry is safe.
    pub(crate) fn is_unavailable(&self) -> bool {
        let refused = self.status == 503 && self.body["code"] == "SERVICE_UNAVAILABLE";
        assert!(!refused || self.retry_after.is_some(), "no Retry-After: {self:?}");
        refused
    }
}

impl Person {
    pub(crate) async fn register(url: &str, name: &str) -> Self {
        let password = format!("the password of {name}");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut person = Self {
            id: String::new(),
            name: name.into(),
            session: Mutex::new(Session {
                access: String::new(),
                refresh: String::new(),
                password: password.clone(),
            }),
            http,
        };
        let body = json!({
            "username": name, "email": format!("{name}@example.com"), "password": password, "confirmPassword": password,
        });
        let answer = person
            .call(url, Method::POST, "/api/auth/register", body)
            .await
            .unwrap();
        let answer = answer.ok();
        person.id = answer["user"]["id"].as_str().unwrap().into();
        person.take(&answer["tokens"]);
        person
    }

    pub(crate) fn token(&self) -> String {
        self.session.lock().unwrap().access.clone()
    }

    /// From now on these are the tokens.
    fn take(&self, tokens: &Value) {
        let mut session = self.session.lock().unwrap();
        session.access = tokens["accessToken"].as_str().unwrap().into();
        session.refresh = tokens["refreshToken"].as_str().unwrap().into();
    }

    /// `Err` when the server is gone, or goes.
    pub(crate) async fn call(&self, url: &str, method: Method, path: &str, body: Value) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{url}{path}"));
        let token = self.token();
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Ok(Answer {
            status,
            retry_after,
            body,
        })
    }

    /// The body of an answer that must be good.
    pub(crate) async fn good(&self, url: &str, method: Method, path: &str, body: Value) -> Value {
        let answer = self.call(url, method, path, body).await.unwrap();
        assert!((200..300).contains(&answer.status), "{path} of {url}: {answer:?}");
        answer.body
    }

    pub(crate) async fn get(&self, url: &str, path: &str) -> Value {
        self.good(url, Method::GET, path, Value::Null).await
    }

    /// Every item of a list.
    pub(crate) async fn list(&self, url: &str, path: &str) -> Vec<Value> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(url, &format!("{path}{mark}limit=100{cursor}")).await;
            items.append(page["items"].as_array_mut().unwrap());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// The ids of those who are online, in order.
    pub(crate) async fn online(&self, url: &str) -> Vec<String> {
        let items = self.list(url, "/api/users/online").await;
        let mut ids: Vec<String> = items.iter().map(|user| user["id"].as_str().unwrap().into()).collect();
        ids.sort_unstable();
        ids
    }

    /// Ends the session and begins another one.
    pub(crate) async fn log_out_and_in(&self, url: &str) {
        self.good(url, Method::POST, "/api/auth/logout", Value::Null).await;
        let password = self.session.lock().unwrap().password.clone();
        let body = json!({"identifier": self.name, "password": password});
        let answer = self.good(url, Method::POST, "/api/auth/login", body).await;
        self.take(&answer["tokens"]);
    }

    pub(crate) async fn refresh(&self, url: &str) {
        let body = json!({"refreshToken": self.session.lock().unwrap().refresh.clone()});
        let answer = self.good(url, Method::POST, "/api/auth/refresh-token", body).await;
        self.take(&answer["tokens"]);
    }

    /// The sockets of the session live on.
    pub(crate) async fn change_password(&self, url: &str) {
        let current = self.session.lock().unwrap().password.clone();
        let new = match current.strip_suffix(" again") {
            Some(first) => first.to_owned(),
            None => format!("{current} again"),
        };
        let body = json!({"currentPassword": current, "newPassword": new, "confirmPassword": new});
        let answer = self.good(url, Method::PUT, "/api/auth/change-password", body).await;
        self.take(&answer["tokens"]);
        self.session.lock().unwrap().password = new;
    }
}
