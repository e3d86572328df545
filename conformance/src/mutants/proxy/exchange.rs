//! What is asked, and what is answered.

use bytes::Bytes;
use chat_spec::Operation;
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::{Method, Response, StatusCode};
use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Which one of the contract it is.
    pub operation: Option<Operation>,
    /// The body said how long it is.
    pub(super) measured: bool,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// A GET of which only the path matters.
    pub(super) fn of_path(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            operation: None,
            measured: true,
        }
    }

    /// Below `/api`: not the packets of a socket, not a page for operators.
    pub fn is_api(&self) -> bool {
        self.path.starts_with("/api/")
    }
}

impl Reply {
    /// None when it is not JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Another body, of its own length.
    pub fn put_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
        self.headers.remove(TRANSFER_ENCODING);
        self.headers.insert(CONTENT_LENGTH, self.body.len().into());
    }

    /// As it goes over the wire.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
