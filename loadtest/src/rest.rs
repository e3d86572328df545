//! The REST calls that the load tests make, each by one shared client without cookies.

use std::io;
use std::time::{Duration, Instant};

use chat_protocol::{ApiError, ChatHistory, ClientMessageId, ErrorCode, MessageEnvelope, SendMessage, UserId};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

/// One node.
#[derive(Debug, Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: Url,
}

/// Why a call failed. Never shows what was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    #[error("the server refused: {code} (HTTP {status})")]
    Refused { status: u16, code: ErrorCode },
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the server cannot be reached, or the connection broke")]
    Network,
    #[error("this process has as many files open as it may: raise its limit (ulimit -Hn) where it was started")]
    OutOfFiles,
    #[error("the answer is none of this API (HTTP {0})")]
    Unknown(u16),
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Of one page of history: the contract's most.
const PAGE: usize = 100;

/// What makes a client for this address. Where nothing is encrypted no certificates are read: a small image has none.
pub(crate) fn client_of(base: &Url) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder();
    match is_encrypted(base) {
        true => client,
        false => client.tls_certs_only([]),
    }
}

pub(crate) fn is_encrypted(base: &Url) -> bool {
    base.scheme() == "https"
}

impl Rest {
    /// # Errors
    ///
    /// When no client can be made on this system.
    pub fn new(base: Url) -> Result<Self, CallError> {
        let client = client_of(&base)
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            .build()
            .map_err(|_| CallError::Network)?;
        Ok(Self { client, base })
    }

    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Any call that takes a body.
    ///
    /// # Errors
    ///
    /// As [`CallError`] says.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let mut request = self.client.post(self.url(path)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Any call that takes none.
    ///
    /// # Errors
    ///
    /// As [`CallError`] says.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        token: &str,
    ) -> Result<T, CallError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        answer(self.client.get(url).bearer_auth(token)).await
    }

    /// Sends a message by REST; returns its place in the chat, none on a server that does not count. With an id of its own it
    /// may be sent again.
    ///
    /// # Errors
    ///
    /// As [`CallError`] says.
    pub async fn send(
        &self,
        token: &str,
        to: &UserId,
        content: &str,
        id: Option<ClientMessageId>,
    ) -> Result<Option<u64>, CallError> {
        let body = SendMessage {
            to: to.clone(),
            content: content.into(),
            message_type: None,
            chat_id: None,
            client_message_id: id,
        };
        let sent: MessageEnvelope = self.post("/api/messages/send", Some(token), &body).await?;
        Ok(sent.message.seq)
    }

    /// All of a conversation behind a place, in order.
    ///
    /// # Errors
    ///
    /// As [`CallError`] says.
    pub async fn history_after(
        &self,
        token: &str,
        peer: &UserId,
        after: u64,
    ) -> Result<Vec<chat_protocol::Message>, CallError> {
        let path = format!("/api/messages/conversation/{peer}");
        let limit = PAGE.to_string();
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let after = after.to_string();
            let mut query = vec![("limit", limit.as_str())];
            match &cursor {
                Some(cursor) => query.push(("cursor", cursor)),
                None => query.push(("after", &after)),
            }
            let page: ChatHistory = self.get(&path, &query, token).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    fn url(&self, path: &str) -> Url {
        url_of(&self.base, path)
    }
}

/// A path below the address of a server, which may itself be below another one.
pub(crate) fn url_of(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let above = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{above}{path}"));
    url
}

/// The code of what was asked for and never answered.
pub(crate) const NO_ANSWER: &str = "NO_ANSWER";
/// The code of what this process could not open a socket for.
pub(crate) const OUT_OF_FILES: &str = "CLIENT_OUT_OF_FILES";

/// Whether an error comes from there being no more open files, of this process or of this machine: no server is to blame.
pub(crate) fn is_out_of_files(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_so = |error: &(dyn std::error::Error + 'static)| {
        let code = error.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        matches!(code, Some(Errno::MFILE | Errno::NFILE))
    };
    std::iter::successors(Some(error), |error| error.source()).any(is_so)
}

impl CallError {
    /// Whether the same call may succeed later: the server was busy, or out of reach.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } | Self::Unknown(status) => *status == 429 || *status >= 500,
            Self::Late | Self::Network | Self::OutOfFiles => true,
        }
    }

    /// As it is counted.
    #[must_use]
    pub fn code(&self) -> Box<str> {
        match self {
            Self::Refused { code, .. } => code.as_str().into(),
            Self::Late => NO_ANSWER.into(),
            Self::Network => "NETWORK".into(),
            Self::OutOfFiles => OUT_OF_FILES.into(),
            Self::Unknown(status) => format!("HTTP_{status}").into(),
        }
    }
}

/// A server that is still busy, with this load or the one before it, is asked again: after longer and longer, 11 s in all.
const TRIES: u32 = 9;
const PAUSE: Duration = Duration::from_millis(300);
/// One that says nothing at all is not asked again after this.
const IN_ALL: Duration = Duration::from_secs(60);

/// Calls until it works, or fails for good, or has failed too often.
pub(crate) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let began = Instant::now();
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if error.may_pass() && tries < TRIES && began.elapsed() < IN_ALL => {
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            done => return done,
        }
    }
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, CallError> {
    let network = |error: reqwest::Error| {
        if error.is_timeout() {
            CallError::Late
        } else if is_out_of_files(&error) {
            CallError::OutOfFiles
        } else {
            CallError::Network
        }
    };
    let response = request.send().await.map_err(network)?;
    let status = response.status();
    let body = response.bytes().await.map_err(network)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| CallError::Unknown(status.as_u16()));
    }
    match serde_json::from_slice::<ApiError>(&body) {
        Ok(error) => Err(CallError::Refused {
            status: status.as_u16(),
            code: error.code,
        }),
        Err(_) => Err(CallError::Unknown(status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_below_what_the_address_has_already() {
        for base in ["http://127.0.0.1:1/chat", "http://127.0.0.1:1/chat/"] {
            let url = url_of(&base.parse().unwrap(), "/api/users/online");
            assert_eq!(url.as_str(), "http://127.0.0.1:1/chat/api/users/online");
        }
        let url = url_of(&"http://127.0.0.1:1".parse().unwrap(), "/api/users/online");
        assert_eq!(url.as_str(), "http://127.0.0.1:1/api/users/online");
    }

    #[test]
    fn that_no_file_can_be_opened_is_found_below_what_failed_by_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Failed(#[source] io::Error);
        let failed = |code: Errno| is_out_of_files(&Failed(code.into()));
        assert!(failed(Errno::MFILE) && failed(Errno::NFILE));
        assert!(!failed(Errno::CONNREFUSED) && !is_out_of_files(&CallError::Network));
    }

    #[test]
    fn what_a_busy_server_says_may_pass_and_what_is_forbidden_does_not() {
        let refused = |status, code| CallError::Refused { status, code };
        for passes in [
            CallError::Late,
            CallError::Network,
            CallError::Unknown(502),
            refused(503, ErrorCode::ServiceUnavailable),
            refused(429, ErrorCode::RateLimited),
        ] {
            assert!(passes.may_pass(), "{passes:?}");
        }
        for stays in [
            CallError::Unknown(404),
            CallError::Unknown(200),
            refused(401, ErrorCode::InvalidCredentials),
        ] {
            assert!(!stays.may_pass(), "{stays:?}");
        }
    }
}
