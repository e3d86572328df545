//! Reads on what a handler left unread: a client that is still sending when the connection closes would see a reset
//! instead of our answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// More is not read: such a client gets the reset.
const MOST: usize = 2 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(2);

/// A body whose rest is read and thrown away when it is dropped.
struct Drained(Body);

/// Wraps a body that has something to read.
pub(super) fn drained(body: Body) -> Body {
    if body.is_end_stream() {
        body
    } else {
        Body::new(Drained(body))
    }
}

impl HttpBody for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let mut rest = std::mem::take(&mut self.0);
        let read = async move {
            let mut left = MOST;
            while let Some(Ok(frame)) = rest.frame().await {
                let size = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(size) {
                    Some(less) => left = less,
                    None => break,
                }
            }
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LONGEST, read));
        }
    }
}
