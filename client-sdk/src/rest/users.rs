//! `/api/users`.

use std::future::IntoFuture;

use chat_protocol::{Page, User, UserEnvelope, UserId, UserStatus};

use super::call::{BoxFuture, Call, Request, json};
use super::list::{List, Pages};
use crate::Result;
use crate::client::Client;

impl Client {
    /// A user.
    pub fn user(&self, id: &UserId) -> Request<User> {
        Request::new(self, Ok(Call::get(format!("api/users/{id}"))), |answer| {
            json::<UserEnvelope>(answer).map(|envelope| envelope.user)
        })
    }

    /// A user's presence, as this user may see it.
    pub fn status_of(&self, id: &UserId) -> Request<UserStatus> {
        Request::plain(self, Ok(Call::get(format!("api/users/{id}/status"))))
    }

    /// Who is online, oneself included.
    pub fn online_users(&self) -> List<User> {
        List::new(self, Call::get("api/users/online"))
    }

    /// Users whose names begin with this text of 1 to 50 characters; with 3 or more, those that contain it as well.
    pub fn search_users(&self, text: impl Into<String>) -> SearchUsers {
        SearchUsers(List::new(self, Call::get("api/users/search").with("q", text.into())))
    }

    /// The user of exactly this name, ignoring case; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As every request.
    pub async fn find_user(&self, name: &str) -> Result<Option<User>> {
        // In alphabetical order, what equals the text is the first of those that begin with it; others may contain it.
        let mut found = self.search_users(name).into_stream();
        while let Some(user) = futures_util::TryStreamExt::try_next(&mut found).await? {
            if user.username.eq_ignore_ascii_case(name) {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }
}

/// A search for users: await it for one page, or walk it by [`into_stream`](Self::into_stream).
#[derive(Debug)]
#[must_use = "nothing is asked until this is awaited or made a stream"]
pub struct SearchUsers(List<User>);

impl SearchUsers {
    /// Users per page, from 1 to 50. Default: the server's, which is 20.
    pub fn limit(self, users: u32) -> Self {
        Self(self.0.limit(users))
    }

    /// As [`List::cursor`].
    pub fn cursor(self, cursor: impl Into<String>) -> Self {
        Self(self.0.cursor(cursor))
    }

    /// As [`List::into_stream`].
    pub fn into_stream(self) -> Pages<User> {
        self.0.into_stream()
    }
}

impl IntoFuture for SearchUsers {
    type Output = Result<Page<User>>;
    type IntoFuture = BoxFuture<Result<Page<User>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0.into_future()
    }
}
