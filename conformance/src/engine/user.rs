//! A user of a case: registered for it alone.

use serde_json::{Value, json};

use super::transcript::Party;
use super::{Answer, Connection, Device, Request, Stop, Transport, World};

/// Every user has this one unless the case changes it.
pub const PASSWORD: &str = "a password of many words";

/// A registered user with the tokens of one session.
#[derive(Clone)]
pub struct User {
    world: World,
    base: String,
    /// Its devices stay at `base` instead of being spread over the nodes.
    pinned: bool,
    pub id: String,
    pub username: String,
    pub email: String,
    pub access: String,
    pub refresh: String,
}

impl World {
    /// A body that registers a new user whose name begins so.
    pub fn registration(&self, name: &str) -> Value {
        let username = format!("{name}_{:010x}", rand::random::<u64>() & 0xff_ffff_ffff);
        self.introduce(name, &username);
        json!({"username": username, "email": format!("{username}@example.org"), "password": PASSWORD, "confirmPassword": PASSWORD})
    }

    /// A fresh user, on the next node of the target.
    pub async fn user(&self, name: &str) -> Result<User, Stop> {
        let user = self.user_at(&self.next_node(), name).await?;
        Ok(User { pinned: false, ..user })
    }

    /// A fresh user of this very server or node.
    pub async fn user_at(&self, base: &str, name: &str) -> Result<User, Stop> {
        let body = self.registration(name);
        let newcomer = Party {
            user: None,
            ..self.party(body["username"].as_str().unwrap_or_default(), "")
        };
        let answer = self
            .request_to(base, "POST", "/api/auth/register")
            .by(newcomer)
            .json(&body)
            .send()
            .await?;
        match answer.status {
            201 => Ok(User::of(self, base, &answer)),
            _ => Err(refused("register", &answer)),
        }
    }
}

fn refused(what: &str, answer: &Answer) -> Stop {
    Stop::Inconclusive(format!("{what} answered {} {}", answer.status, answer.code()))
}

impl User {
    /// From the answer to register or login.
    pub fn of(world: &World, base: &str, answer: &Answer) -> Self {
        let text = |pointer| answer.text_at(pointer).to_owned();
        Self {
            world: world.clone(),
            base: base.to_owned(),
            pinned: true,
            id: text("/user/id"),
            username: text("/user/username"),
            email: text("/user/email"),
            access: text("/tokens/accessToken"),
            refresh: text("/tokens/refreshToken"),
        }
    }

    /// The same user with other tokens.
    pub fn with_tokens(&self, answer: &Answer) -> Self {
        Self {
            access: answer.text_at("/tokens/accessToken").to_owned(),
            refresh: answer.text_at("/tokens/refreshToken").to_owned(),
            ..self.clone()
        }
    }

    /// The same user at another node, or at a server that was started anew; with all further devices.
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            pinned: true,
            ..self.clone()
        }
    }

    /// A new session of the same user.
    pub async fn login(&self) -> Result<Self, Stop> {
        let body = json!({"identifier": self.username, "password": PASSWORD});
        let login = self.anonymous("POST", "/api/auth/login").json(&body);
        let answer = login.send().await?;
        match answer.status {
            200 => Ok(Self::of(&self.world, &self.base, &answer)),
            _ => Err(refused("login", &answer)),
        }
    }

    pub fn anonymous(&self, method: &str, path: &str) -> Request {
        self.world.request_to(&self.base, method, path).by(self.party())
    }

    /// The base URL of the node that its requests go to.
    pub fn node(&self) -> &str {
        &self.base
    }

    fn party(&self) -> Party {
        self.world.party(&self.username, &self.id)
    }

    /// A request with the user's token.
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.anonymous(method, path).token(&self.access)
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Stop> {
        self.request("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Stop> {
        self.request("POST", path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer, Stop> {
        self.request("PUT", path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, Stop> {
        self.request("DELETE", path).send().await
    }

    /// Sends a message by REST.
    pub async fn send(&self, to: &str, content: &str) -> Result<Answer, Stop> {
        self.post("/api/messages/send", &json!({"to": to, "content": content}))
            .await
    }

    /// A message that the case needs but does not judge; the message.
    pub async fn must_send(&self, to: &str, content: &str) -> Result<Value, Stop> {
        let answer = self.send(to, content).await?;
        if answer.status == 201 {
            Ok(answer.body["message"].clone())
        } else {
            Err(Stop::Inconclusive(format!(
                "a send answered {} {}",
                answer.status,
                answer.code()
            )))
        }
    }

    /// The conversation with a peer.
    pub async fn conversation(&self, peer: &Self, query: &str) -> Result<Answer, Stop> {
        self.get(&format!("/api/messages/conversation/{}{query}", peer.id))
            .await
    }

    /// An authenticated device over WebSocket.
    pub async fn device(&self) -> Result<Device, Stop> {
        self.device_over(Transport::Websocket).await
    }

    pub async fn device_over(&self, transport: Transport) -> Result<Device, Stop> {
        match self.connect(transport, Some(json!({"token": self.access}))).await? {
            Connection::Open(device) => {
                device.must_take("authenticated", |_| true).await?;
                Ok(device)
            }
            Connection::Refused(refused) => Err(Stop::Inconclusive(format!("the socket was refused: {}", refused.0))),
        }
    }

    /// A socket with this `auth`, whatever comes of it.
    pub async fn connect(&self, transport: Transport, auth: Option<Value>) -> Result<Connection, Stop> {
        let (party, before) = self.world.device_of(&self.party());
        let node = match self.pinned {
            true => self.base.clone(),
            false => self.world.node_of_device(&self.base, before),
        };
        Device::connect(&self.world, &node, transport, auth, &self.id, party).await
    }
}
