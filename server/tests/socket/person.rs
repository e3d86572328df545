//! Somebody with an account and a session.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::wire::Wire;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A person in one session; [`Person::login`] opens another one.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
}

impl Person {
    pub(crate) async fn register(address: SocketAddr, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let body = json!({"username": name, "email": email, "password": PASSWORD, "confirmPassword": PASSWORD});
        Self::enter(address, name, "/api/auth/register", body).await
    }

    /// The same person in a session of its own.
    pub(crate) async fn login(&self) -> Self {
        Self::login_with(self.address, &self.name, PASSWORD).await
    }

    pub(crate) async fn login_with(address: SocketAddr, name: &str, password: &str) -> Self {
        let body = json!({"identifier": name, "password": password});
        Self::enter(address, name, "/api/auth/login", body).await
    }

    async fn enter(address: SocketAddr, name: &str, path: &str, body: Value) -> Self {
        let mut person = Self {
            id: String::new(),
            name: name.into(),
            access: String::new(),
            refresh: String::new(),
            address,
            http: reqwest::Client::new(),
        };
        let (status, session) = person.call(Method::POST, path, body).await;
        assert!(matches!(status, 200 | 201), "{path}: {status} {session}");
        person.id = session["user"]["id"].as_str().unwrap().into();
        person.take(&session["tokens"]);
        person
    }

    /// Goes on with these tokens.
    pub(crate) fn take(&mut self, tokens: &Value) {
        self.access = tokens["accessToken"].as_str().unwrap().into();
        self.refresh = tokens["refreshToken"].as_str().unwrap().into();
    }

    /// A socket that is in: it has been greeted, and whoever is told of its coming has been told.
    pub(crate) async fn device(&self) -> Device {
        let mut device = self.greeted().await;
        // Others are told after the greeting, and before the first event of the socket is looked at.
        device.fence().await;
        device
    }

    /// A socket that has been greeted and has asked for nothing yet.
    pub(crate) async fn greeted(&self) -> Device {
        self.device_over(Wire::open(self.address).await).await
    }

    pub(crate) async fn device_over(&self, wire: Wire) -> Device {
        let auth = json!({"token": self.access});
        let mut device = Device::connect_over(wire, Some(auth)).await.unwrap();
        let greeting = device.event("authenticated").await;
        assert_eq!(greeting["user"]["id"], self.id);
        device
    }

    /// Status and body; a body that is empty is null.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method, url);
        if !self.access.is_empty() {
            request = request.bearer_auth(&self.access);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).unwrap(),
        };
        (status, body)
    }

    /// As [`Self::call`], for what must succeed.
    pub(crate) async fn good(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Sends over REST; the message.
    pub(crate) async fn say(&self, to: &Person, content: &str) -> Value {
        let body = json!({"to": to.id, "content": content});
        self.good(Method::POST, "/api/messages/send", body).await["message"].take()
    }

    /// How others see this person.
    pub(crate) async fn seen_by(&self, other: &Person) -> Value {
        let path = format!("/api/users/{}", self.id);
        other.good(Method::GET, &path, Value::Null).await["user"].take()
    }
}
