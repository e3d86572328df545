//! The accounts that take part: made in parallel ahead of time, and kept in a file on wish.

mod file;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_protocol::{ErrorCode, Login, Register, Session, UserId};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::rest::{CallError, Rest, patiently};

pub use self::file::{FileError, check, load, store};

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

/// The accounts could not all be had.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error("the users cannot be made: {0}")]
    Call(CallError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("it was ended while users were being made")]
    Interrupted,
    #[error(
        "access tokens end {short} s before the run does, and then the server ends their connections: start it with tokens that live \
         longer (JWT_EXPIRES_IN=24h for the reference server), or make the run shorter"
    )]
    Tokens { short: u64 },
}

/// So many new accounts are kept first, and then each time as many as there are.
const FIRST: usize = 32;

/// As many accounts as are needed: the known ones, with new tokens where theirs end before this time or soon after, and new ones. `made`
/// is called for each, and `keep` now and then with all there are so far, and however it ends: what was made once need not be made again.
///
/// # Errors
///
/// When the server refuses one, or does not answer for long; when they cannot be kept; when `stop` ends.
pub async fn gather(
    rest: &Rest,
    known: Vec<Person>,
    needed: usize,
    until: u64,
    made: impl Fn(),
    mut keep: impl FnMut(&[Person]) -> Result<(), FileError>,
    stop: impl Future<Output = ()>,
) -> Result<Vec<Person>, GatherError> {
    tokio::pin!(stop);
    let is_good = |person: &Person| person.good_until > until + TO_SPARE.as_secs();
    // A run of fewer users makes the first ones anew: the last one is the oldest.
    let oldest = known.iter().take(needed).rfind(|person| is_good(person));
    let takes_tokens = match oldest {
        Some(person) => tokio::select! {
            takes = takes_token_of(rest, person) => takes,
            () = &mut stop => return Err(GatherError::Interrupted),
        },
        None => true,
    };
    let mut known = known.into_iter();
    let jobs: Vec<_> = (0..needed).map(|number| (number, known.next())).collect();
    let gathering = stream::iter(jobs)
        .map(|(number, person)| async move {
            match person {
                Some(person) if takes_tokens && is_good(&person) => Ok(person),
                Some(person) => log_in(rest, person).await,
                None => register(rest, number).await,
            }
        })
        .buffered(AT_ONCE);
    tokio::pin!(gathering);
    let (mut people, mut kept) = (Vec::with_capacity(needed), 0);
    let ended = loop {
        let next = tokio::select! {
            next = gathering.next() => next,
            () = &mut stop => break Err(GatherError::Interrupted),
        };
        match next {
            Some(Ok(person)) => people.push(person),
            Some(Err(error)) => break Err(GatherError::Call(error)),
            None => break Ok(()),
        }
        made();
        if people.len() >= (2 * kept).max(FIRST) {
            keep(&people)?;
            kept = people.len();
        }
    };
    if people.len() > kept {
        keep(&people)?;
    }
    ended.map(|()| people)
}

/// Sees that all tokens are good until then.
///
/// # Errors
///
/// When one of them is not.
pub fn outlive(people: &[Person], until: u64) -> Result<(), GatherError> {
    let first = people.iter().map(|person| person.good_until).min();
    match first.map(|good_until| until.saturating_sub(good_until)) {
        Some(short) if short > 0 => Err(GatherError::Tokens { short }),
        _ => Ok(()),
    }
}

/// Whether the server takes tokens of before: with another secret, or without its data, it does not.
async fn takes_token_of(rest: &Rest, person: &Person) -> bool {
    let profile = patiently(|| rest.get::<serde::de::IgnoredAny>("/api/auth/profile", &[], &person.token)).await;
    !matches!(
        profile,
        Err(CallError::Refused { status: 401, .. } | CallError::Unknown(401))
    )
}

/// Under another name each time it is tried: an answer that got lost may have been that it was made.
async fn register(rest: &Rest, number: usize) -> Result<Person, CallError> {
    patiently(|| register_as(rest, format!("lt{:08x}.{number}", rand::random::<u32>()))).await
}

async fn register_as(rest: &Rest, username: String) -> Result<Person, CallError> {
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
    match patiently(|| rest.post("/api/auth/login", None, &body)).await {
        Ok(session) => Ok(Person::new(session, person.username, person.password)),
        // Of a server whose data are gone since.
        Err(CallError::Refused {
            code: ErrorCode::InvalidCredentials,
            ..
        }) => register(rest, 0).await,
        Err(error) => Err(error),
    }
}

fn now() -> u64 {
    seconds(SystemTime::now())
}

/// Since 1970.
pub(crate) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
