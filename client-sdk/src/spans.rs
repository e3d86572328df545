//! What `tracing` shows of a client beside its log lines. Ids are in it; secrets, contents and what was searched for are not.

use chat_protocol::{ClientMessageId, UserId};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, debug_span};

use crate::Result;
use crate::rest::Call;

/// A call with all its tries.
pub(crate) fn call(call: &Call) -> Span {
    debug_span!("call", method = %call.method, path = call.path, tries = Empty, outcome = Empty)
}

/// The opening of a connection.
pub(crate) fn connect(user: &UserId) -> Span {
    debug_span!("connect", %user, outcome = Empty)
}

/// A connection, from its opening to its end.
pub(crate) fn connection(user: &UserId, sid: &str) -> Span {
    debug_span!("connection", %user, sid)
}

/// What was missed is fetched: of all chats, or of those in which something is known to be missing.
pub(crate) fn catch_up(all: bool) -> Span {
    debug_span!("catch_up", all, pages = Empty, messages = Empty, outcome = Empty)
}

/// A message, from the moment at which the outbox takes it until it leaves. In the span of whoever sends it.
pub(crate) fn send(id: &ClientMessageId, to: &UserId) -> Span {
    debug_span!("send", %id, %to, tries = Empty, seq = Empty, outcome = Empty)
}

/// Does the work in a span, which then says how it went.
pub(crate) async fn within<T>(span: &Span, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = work.instrument(span.clone()).await;
    ended(span, &done);
    done
}

/// How it went: `ok`, the server's code, or the kind of the error.
pub(crate) fn ended<T>(span: &Span, done: &Result<T>) {
    if span.is_disabled() {
        return;
    }
    match done {
        Ok(_) => span.record("outcome", "ok"),
        Err(error) => match error.code() {
            Some(code) => span.record("outcome", display(code)),
            None => span.record("outcome", tracing::field::debug(error.kind())),
        },
    };
}
