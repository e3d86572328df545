//! Password hashing, kept away from the threads that carry messages.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::oneshot;

use crate::store::PasswordHash;
use crate::{Error, Result};

/// OWASP's recommendation for argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashings may wait for each thread: some seconds' worth. Whoever comes later is told to retry.
const QUEUE_PER_THREAD: usize = 128;

/// Belongs to no password; has the parameters of a real hash, so that an unknown user costs what a known one does.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y2hhdC1kdW1teS1zYWx0IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A few threads of its own behind a bounded queue: a storm of logins waits here and takes no thread from messages.
///
/// The threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Passwords {
    queue: SyncSender<Job>,
}

type Job = Box<dyn FnOnce(&Argon2<'static>) + Send>;

impl Passwords {
    /// Starts the threads, at least one.
    pub fn new(threads: usize) -> io::Result<Self> {
        Self::with_queue(threads, threads.max(1) * QUEUE_PER_THREAD)
    }

    fn with_queue(threads: usize, places: usize) -> io::Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(io::Error::other)?;
        let (queue, jobs) = sync_channel(places);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads.max(1) {
            let jobs = Arc::clone(&jobs);
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&argon, &jobs))?;
        }
        Ok(Self { queue })
    }

    /// A new hash with a salt of its own.
    pub async fn hash(&self, password: String) -> Result<PasswordHash> {
        let password = counted(password);
        let hashed = self
            .run(move |argon| argon.hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?;
        hashed.map(PasswordHash).map_err(Error::internal)
    }

    /// Whether the password is the one of the hash; never with `None`, which costs the same.
    pub async fn verify(&self, password: String, hash: Option<PasswordHash>) -> Result<bool> {
        let known = hash.is_some();
        let password = counted(password);
        if let Some(adopted) = hash.as_ref().filter(|hash| is_adopted(hash)).cloned() {
            let right = self.run(move |_| bcrypt::verify(password, &adopted.0)).await?;
            return right.map_err(|_| Error::internal("a stored password hash is damaged"));
        }
        let hash = hash.map_or_else(|| DUMMY.to_owned(), |hash| hash.0);
        let outcome = self
            .run(move |argon| argon.verify_password(password.as_bytes(), hash.as_str()))
            .await?;
        match outcome {
            Ok(()) => Ok(known),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(Error::internal(format!("a stored password hash is damaged: {error}"))),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static) -> Result<T> {
        let (reply, outcome) = oneshot::channel();
        let job: Job = Box::new(move |argon| {
            // Nobody waits for the answer any more when the client has hung up.
            if !reply.is_closed() {
                drop(reply.send(work(argon)));
            }
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::unavailable("the password queue is full"),
            TrySendError::Disconnected(_) => Error::internal("the password threads have ended"),
        })?;
        outcome
            .await
            .map_err(|_| Error::internal("a password thread died over its work"))
    }
}

/// What of a password counts: all of it.
fn counted(password: String) -> String {
    match fault!(PasswordCut) {
        true => password.chars().take(72).collect(),
        false => password,
    }
}

/// Whether the hash came with an adopted database: bcrypt's, to be replaced when the password is next at hand.
pub fn is_adopted(hash: &PasswordHash) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|kind| hash.0.starts_with(kind))
}

fn work(argon: &Argon2<'static>, jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting; the other threads wait for the lock instead, which comes to the same.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(argon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_protocol::ErrorCode;

    #[tokio::test]
    async fn a_hash_opens_to_its_password_alone() {
        let passwords = Passwords::new(1).unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        let again = passwords.hash("correct horse".into()).await.unwrap();
        assert_ne!(hash.0, again.0, "each hash has its own salt");
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horsf".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(String::new(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_an_adopted_database_open_too() {
        let passwords = Passwords::new(1).unwrap();
        // As Node's bcrypt writes it.
        let hash = PasswordHash("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".into());
        assert!(is_adopted(&hash) && !is_adopted(&PasswordHash(DUMMY.into())));
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify("correct horsf".into(), Some(hash)).await.unwrap());
        let damaged = PasswordHash("$2b$04$damaged".into());
        assert!(passwords.verify("correct horse".into(), Some(damaged)).await.is_err());
    }

    #[tokio::test]
    async fn an_unknown_user_is_hashed_too_and_never_let_in() {
        // Verification succeeds or fails on the hash only after it was computed: a dummy that did not parse would be an
        // error here, and free of cost.
        let passwords = Passwords::new(1).unwrap();
        assert!(!passwords.verify("anything".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn long_passwords_are_not_cut() {
        let passwords = Passwords::new(1).unwrap();
        let long = "é".repeat(128);
        let hash = passwords.hash(long.clone()).await.unwrap();
        let other = format!("{}e", "é".repeat(127));
        assert!(passwords.verify(long, Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(other, Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_asks_to_retry() {
        let passwords = Passwords::with_queue(1, 1).unwrap();
        let (started, has_started) = oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let passwords = passwords.clone();
            async move {
                passwords
                    .run(move |_| {
                        let _ = started.send(());
                        let _ = released.recv();
                    })
                    .await
            }
        });
        has_started.await.unwrap();
        let waiting = passwords.hash("second".into());
        let mut waiting = Box::pin(waiting);
        // Polled once, the second one has the only place in the queue.
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let refused = passwords.hash("third".into()).await.unwrap_err();
        assert_eq!(refused.kind(), &ErrorCode::ServiceUnavailable);
        assert!(refused.retry_after().is_some());
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert!(waiting.await.is_ok());
    }
}
