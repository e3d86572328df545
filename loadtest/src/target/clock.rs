//! How far a server's clock is from this machine's, as far as the `Date` of its answers tells: it has whole seconds.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use url::Url;

use crate::rest::{client_of, url_of};

/// By how many seconds the server's clock is ahead of ours: between these two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ahead {
    pub low: f64,
    pub high: f64,
}

/// Known to so many seconds it is known well enough.
const ENOUGH: f64 = 0.2;
/// Asked so often, with such pauses, it is seen when a second of the server's ends.
const TIMES: usize = 12;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks a server until it is known well enough; none when it does not say, or when more than one clock answers at its address.
pub async fn ahead(node: &Url) -> Option<Ahead> {
    let client = client_of(node).timeout(Duration::from_secs(10)).build().ok()?;
    let mut known = ask(&client, node).await?;
    for _ in 1..TIMES {
        if known.high - known.low <= ENOUGH {
            break;
        }
        sleep(PAUSE).await;
        known = known.and(ask(&client, node).await?)?;
    }
    Some(known)
}

async fn ask(client: &reqwest::Client, node: &Url) -> Option<Ahead> {
    let asked = now();
    let answer = client.get(url_of(node, "/api/users/online")).send().await.ok()?;
    let date = read(answer.headers().get("date")?.to_str().ok()?)?;
    Some(Ahead::told(date as f64, asked, now()))
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Seconds since 1970 of `Wed, 25 Nov 2026 00:24:00 GMT`.
pub(super) fn read(date: &str) -> Option<i64> {
    let moment = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(moment.timestamp().as_second())
}

impl Ahead {
    /// At some moment between these two of ours it was this second there.
    fn told(second: f64, asked: f64, answered: f64) -> Self {
        Self {
            low: second - answered,
            high: second + 1.0 - asked,
        }
    }

    /// What both tell; none when they contradict each other.
    fn and(self, other: Self) -> Option<Self> {
        let both = Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        };
        (both.low <= both.high).then_some(both)
    }

    /// From the least to the most that either tells.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read() {
        assert_eq!(read("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn whole_seconds_tell_more_when_one_of_them_ends() {
        for ahead in [-7.25, 0.0, 0.9, 3.5] {
            let told = |at: f64| Ahead::told((at + 0.01 + ahead).floor(), at, at + 0.02);
            let once = told(1000.0);
            assert!(once.low <= ahead && ahead <= once.high && once.high - once.low > 1.0);
            let mut several = (1..TIMES).map(|time| told(1000.0 + time as f64 * 0.12));
            let known = several.try_fold(once, Ahead::and).unwrap();
            assert!(known.low <= ahead && ahead <= known.high, "{ahead}: {known:?}");
            assert!(known.high - known.low <= ENOUGH, "{ahead}: {known:?}");
        }
    }

    #[test]
    fn two_clocks_at_one_address_are_none() {
        let (one, other) = (Ahead::told(1000.0, 1000.0, 1000.1), Ahead::told(1007.0, 1000.2, 1000.3));
        assert_eq!(one.and(other), None);
    }
}
