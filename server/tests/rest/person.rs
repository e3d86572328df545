//! Somebody with an account and a session.

use std::ops::Deref;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::device::Device;

/// Calls with the newest access token of the session.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) refresh_token: String,
    client: Client,
}

impl Deref for Person {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The body of a registration that nothing is wrong with.
pub(crate) fn registration(name: &str) -> Value {
    let password = format!("the password of {name}");
    json!({
        "username": name,
        "email": format!("{name}@example.com"),
        "password": password,
        "confirmPassword": password,
    })
}

impl Person {
    pub(crate) async fn register(visitor: Client, name: &str) -> Self {
        let body = registration(name);
        let password = body["password"].as_str().unwrap().to_owned();
        let answer = visitor.post("/api/auth/register", body).await;
        Self::of(&visitor, name, &password, answer.ok(201))
    }

    /// From the body of a registration or login.
    pub(crate) fn of(visitor: &Client, name: &str, password: &str, session: Value) -> Self {
        let mut person = Self {
            id: session["user"]["id"].as_str().unwrap().into(),
            name: name.into(),
            password: password.into(),
            refresh_token: String::new(),
            client: visitor.clone(),
        };
        person.take_tokens(&session["tokens"]);
        person
    }

    /// From now on these are the tokens of the session.
    pub(crate) fn take_tokens(&mut self, tokens: &Value) {
        self.refresh_token = tokens["refreshToken"].as_str().unwrap().into();
        self.client = self.client.with_token(tokens["accessToken"].as_str().unwrap());
    }

    /// Sends a text that must arrive, and gives the message.
    pub(crate) async fn sends(&self, to: &Person, content: &str) -> Value {
        let body = json!({"to": to.id, "content": content});
        self.post("/api/messages/send", body).await.ok(201)["message"].take()
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/auth/refresh-token", json!({"refreshToken": token}))
            .await
    }

    /// The answer to a call that only needs a good token.
    pub(crate) async fn profile(&self) -> Answer {
        self.get("/api/auth/profile").await
    }

    /// The conversation with `peer`, as the body of the answer.
    pub(crate) async fn conversation(&self, peer: &Person, query: &str) -> Value {
        let path = format!("/api/messages/conversation/{}{query}", peer.id);
        self.get(&path).await.ok(200)
    }

    /// Opens a socket and waits until it is authenticated.
    pub(crate) async fn device(&self) -> Device {
        Device::open(self.base(), self.token()).await
    }
}
