//! Moments that were recorded elsewhere: a line each, `SECONDS` or `SECONDS,USER`.

use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Recorded moments, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// With the number of the user; more users than there are share.
    moments: Vec<(Duration, usize)>,
}

/// The moments of a trace by whose they are: dealt out once, for looking for one's own among all takes long where there are many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealt {
    users: Vec<Vec<Duration>>,
    lasts: Duration,
}

/// A line that is neither `SECONDS` nor `SECONDS,USER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the trace is neither SECONDS nor SECONDS,USER")]
pub struct TraceError {
    pub line: usize,
}

impl FromStr for Trace {
    type Err = TraceError;

    /// Empty lines and such that begin with `#` are passed over; a line without a user takes the users in turn.
    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut moments = Vec::new();
        for (line, content) in text.lines().enumerate() {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let error = TraceError { line: line + 1 };
            let (seconds, user) = match content.split_once(',') {
                Some((seconds, user)) => (seconds, user.trim().parse().map_err(|_| error)?),
                None => (content, moments.len()),
            };
            let seconds: f64 = seconds.trim().parse().map_err(|_| error)?;
            moments.push((Duration::try_from_secs_f64(seconds).map_err(|_| error)?, user));
        }
        // Stable, so that what is due at the same time keeps its order.
        moments.sort_by_key(|(at, _)| *at);
        Ok(Self { moments })
    }
}

impl Trace {
    #[must_use]
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// Tells it from others, however it is written down.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (at, user) in &self.moments {
            digest.update(at.as_nanos().to_le_bytes());
            digest.update((*user as u64).to_le_bytes());
        }
        // Half of it is more than enough against chance.
        let bytes = digest.finalize();
        bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Until after the last one.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let last = self.moments.last().map_or(Duration::ZERO, |(at, _)| *at);
        last + Duration::from_millis(1)
    }

    /// Among so many users.
    #[must_use]
    pub fn deal(&self, users: usize) -> Dealt {
        let mut dealt = vec![Vec::new(); users.max(1)];
        let count = dealt.len();
        for (at, user) in &self.moments {
            if let Some(of_user) = dealt.get_mut(user % count) {
                of_user.push(*at);
            }
        }
        Dealt {
            users: dealt,
            lasts: self.lasts(),
        }
    }
}

impl Dealt {
    /// As long as all of it.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    pub(super) fn moment(&self, user: usize, number: usize) -> Option<Duration> {
        self.users.get(user)?.get(number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_moments_and_not_of_the_text() {
        let digest = |text: &str| text.parse::<Trace>().unwrap().digest();
        let one = digest("0.5,1\n0.1,0\n");
        assert_eq!(one, digest("# the same\n0.1, 0\n\n0.50,1"));
        for other in ["0.5,1\n", "0.5,1\n0.1,1\n", "0.5,1\n0.2,0\n", "0.5,1\n0.1,0\n0.1,0\n"] {
            assert_ne!(one, digest(other), "{other}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["-1", "x", "1,2,3", "1,", "inf"] {
            let text = format!("0\n\n{bad}\n");
            assert_eq!(text.parse::<Trace>(), Err(TraceError { line: 3 }), "{bad:?}");
        }
        assert_eq!("# nothing\n".parse::<Trace>().unwrap().len(), 0);
    }
}
