//! The accounts that take part: made in parallel ahead of time, and kept in a file on wish.

mod file;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_protocol::{ErrorCode, Login, Register, Session, UserId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::rest::{CallError, Rest};

pub use self::file::{FileError, load, store};

/// An account with a token that is good.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    pub id: UserId,
    pub username: String,
    pub(crate) password: String,
    pub(crate) token: String,
    /// Seconds since 1970 until which the token is good.
    pub(crate) good_until: u64,
}

/// Accounts at the same time under way: enough that hashing passwords keeps a server's cores busy.
const AT_ONCE: usize = 16;
/// A token must be good for so much longer than the run, or it is made anew.
const TO_SPARE: Duration = Duration::from_secs(300);

impl Person {
    fn new(session: Session, username: String, password: String) -> Self {
        let lives = session.tokens.expires_in;
        Self {
            id: session.user.user.id,
            username,
            password,
            token: session.tokens.access_token,
            good_until: now() + lives,
        }
    }
}

// Neither password nor token prints.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("id", &self.id).finish_non_exhaustive()
    }
}

/// As many accounts as are needed: the known ones, with new tokens where theirs end too soon, and new ones.
///
/// # Errors
///
/// When the server refuses one, or does not answer.
pub async fn gather(
    rest: &Rest,
    known: Vec<Person>,
    needed: usize,
    lasts: Duration,
    made: impl Fn(),
) -> Result<Vec<Person>, CallError> {
    let batch = rand::random::<u32>();
    let until = now() + (lasts + TO_SPARE).as_secs();
    let mut known = known.into_iter();
    let (made, jobs) = (&made, (0..needed).map(|number| (number, known.next())));
    let jobs: Vec<_> = jobs.collect();
    stream::iter(jobs)
        .map(|(number, person)| async move {
            let person = match person {
                Some(person) if person.good_until > until => person,
                Some(person) => log_in(rest, person).await?,
                None => register(rest, batch, number).await?,
            };
            made();
            Ok(person)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn register(rest: &Rest, batch: u32, number: usize) -> Result<Person, CallError> {
    let username = format!("lt{batch:08x}.{number}");
    let password = format!("{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
    let body = Register {
        username: username.clone(),
        email: format!("{username}@loadtest.example"),
        password: password.clone(),
        confirm_password: password.clone(),
    };
    let session: Session = rest.post("/api/auth/register", None, &body).await?;
    Ok(Person::new(session, username, password))
}

async fn log_in(rest: &Rest, person: Person) -> Result<Person, CallError> {
    let body = Login {
        identifier: person.username.clone(),
        password: person.password.clone(),
    };
    match rest.post("/api/auth/login", None, &body).await {
        Ok(session) => Ok(Person::new(session, person.username, person.password)),
        // Of a server whose data are gone since.
        Err(CallError::Refused {
            code: ErrorCode::InvalidCredentials,
            ..
        }) => register(rest, rand::random(), 0).await,
        Err(error) => Err(error),
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
