//! Lists: one page, or all of them as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_protocol::Page;
use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::call::{BoxFuture, Call, json};
use crate::Result;
use crate::client::Client;

/// A list: await it for one page, or walk all of it by [`into_stream`](Self::into_stream).
///
/// Walking it while it grows neither repeats nor skips what was there at the start.
#[must_use = "nothing is asked until this is awaited or made a stream"]
pub struct List<T> {
    client: Client,
    call: Call,
    item: std::marker::PhantomData<fn() -> T>,
}

impl<T> List<T> {
    pub(super) fn new(client: &Client, call: Call) -> Self {
        Self {
            client: client.clone(),
            call,
            item: std::marker::PhantomData,
        }
    }

    /// Items per page, from 1 to 100 (users by name: 50). Default: the server's, which is 50 (20).
    pub fn limit(mut self, items: u32) -> Self {
        self.call = self.call.with("limit", items);
        self
    }

    /// Goes on where another page ended: its [`Page::next_cursor`].
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.call = self.call.with("cursor", cursor.into());
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.call = self.call.with(name, value);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> List<T> {
    /// Every item from here on, page by page: the next page is fetched when it is needed. After an error the stream goes on
    /// with the same page, if it is asked to.
    pub fn into_stream(self) -> Pages<T> {
        let Self { client, call, .. } = self;
        Pages::new(Box::new(move |cursor| {
            let call = match cursor {
                Some(cursor) => call.clone().with("cursor", cursor),
                None => call.clone(),
            };
            let client = client.clone();
            Box::pin(async move { json(&client.call(&call).await?) })
        }))
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for List<T> {
    type Output = Result<Page<T>>;
    type IntoFuture = BoxFuture<Result<Page<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { json(&self.client.call(&self.call).await?) })
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(&self.call).finish()
    }
}

type Fetch<T> = Box<dyn Fn(Option<String>) -> BoxFuture<Result<Page<T>>> + Send>;

/// The items of a list, one after the other.
#[must_use = "streams do nothing unless polled"]
pub struct Pages<T> {
    fetch: Fetch<T>,
    items: VecDeque<T>,
    cursor: Option<String>,
    fetching: Option<BoxFuture<Result<Page<T>>>>,
    is_last: bool,
}

impl<T> Pages<T> {
    pub(super) fn new(fetch: Fetch<T>) -> Self {
        Self {
            fetch,
            items: VecDeque::new(),
            cursor: None,
            fetching: None,
            is_last: false,
        }
    }
}

impl<T: Unpin> Stream for Pages<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.items.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if this.is_last {
                return Poll::Ready(None);
            }
            let fetching = this.fetching.get_or_insert_with(|| (this.fetch)(this.cursor.clone()));
            let page = ready!(fetching.as_mut().poll(cx));
            this.fetching = None;
            match page {
                Ok(page) => {
                    this.items = page.items.into();
                    this.is_last = page.next_cursor.is_none();
                    this.cursor = page.next_cursor;
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("buffered", &self.items.len())
            .finish_non_exhaustive()
    }
}
