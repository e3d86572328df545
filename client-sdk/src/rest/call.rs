//! A call before it is made, and the request that makes it.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::{Error, ErrorKind, Result, Retryability};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What to do when nobody knows whether a call was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Make it again: twice is as good as once.
    Freely,
    /// Make it again, and take "there is no such thing any more" for success.
    UntilGone,
    /// Leave it: twice is not once.
    Never,
}

/// A call of the API.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below the address of the server. Made of ids and fixed parts, which need no escaping.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) repeat: Repeat,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            repeat: Repeat::Freely,
        }
    }

    pub(crate) fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self {
            method,
            repeat,
            ..Self::get(path)
        }
    }

    /// Whether the same call may be made again after this.
    pub(crate) fn may_repeat_after(&self, error: &Error) -> bool {
        match error.retryability() {
            Retryability::Transient => true,
            Retryability::Ambiguous => self.repeat != Repeat::Never && error.kind() != ErrorKind::Protocol,
            Retryability::Permanent => false,
        }
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_vec(body);
        let unwritable = |error| Error::new(ErrorKind::Config, "the body cannot be written as JSON").because(error);
        self.body = Some(json.map_err(unwritable)?);
        Ok(self)
    }

    /// Sets a parameter, in place of one of that name.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.to_string()));
        self
    }
}

// Bodies carry passwords and contents.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A request to the server: await it for its answer.
///
/// It fails with [`ErrorKind::Refused`] and the server's code, or as the kinds of [`ErrorKind`] say.
#[must_use = "nothing is asked until this is awaited"]
pub struct Request<T> {
    client: Client,
    call: Result<Call>,
    read: fn(&[u8]) -> Result<T>,
}

impl<T> Request<T> {
    pub(super) fn new(client: &Client, call: Result<Call>, read: fn(&[u8]) -> Result<T>) -> Self {
        Self {
            client: client.clone(),
            call,
            read,
        }
    }
}

impl<T: DeserializeOwned> Request<T> {
    /// Whose answer is a `T` as it comes.
    pub(super) fn plain(client: &Client, call: Result<Call>) -> Self {
        Self::new(client, call, json)
    }
}

impl<T: Send + 'static> IntoFuture for Request<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answer = self.client.call(&self.call?).await?;
            (self.read)(&answer)
        })
    }
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.call).finish()
    }
}

/// Reads an answer. What is unknown in it is passed over.
pub(super) fn json<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).map_err(|error| {
        let place = error.column();
        Error::new(
            ErrorKind::Protocol,
            format!("an answer that is not what the contract says, at byte {place}"),
        )
    })
}

/// Of an answer without a body.
pub(super) fn nothing(_: &[u8]) -> Result<()> {
    Ok(())
}
