//! Whether the target still lives: what it answers while cases run, and what it says when it is asked.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Target;

/// How long one sign of life may take.
const SIGN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked before it counts as gone.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(700);
/// Of so many answers in a row …
const RECENT: usize = 400;
/// … so many failures, that is most, are a storm.
const STORM: usize = 201;

/// Counts the answers of the target itself, not of servers that cases start.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Of the last answers: which were failures.
    recent: Mutex<VecDeque<bool>>,
}

impl Pulse {
    /// An answer came.
    pub(super) fn answered(&self, status: u16) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(status >= 500);
        if recent.len() > RECENT {
            recent.pop_front();
        }
    }

    /// Says so when of the last answers most are failures of the server. Some, 503 above all, a lawful one may give.
    pub(super) fn storm(&self) -> Option<String> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (answers, broken) = (recent.len(), recent.iter().filter(|broken| **broken).count());
        (broken >= STORM).then(|| {
            format!("a storm of failures: {broken} of the last {answers} answers had a status of 500 or above")
        })
    }
}

impl Target {
    /// Asks every node for a sign of life, when it is not being started again.
    ///
    /// # Errors
    ///
    /// Which node gave none, and why.
    pub async fn examine(&self) -> Result<(), String> {
        if self.restarted().await.is_err() {
            // Not by its own fault, and said where it happened.
            return Ok(());
        }
        for node in &self.nodes {
            let mut trouble = String::new();
            let mut alive = false;
            for attempt in 0..TRIES {
                if attempt > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                let request = self.http.get(format!("{node}/api/users/online")).timeout(SIGN_WITHIN);
                match request.send().await {
                    Ok(_) => {
                        alive = true;
                        break;
                    }
                    Err(error) if error.is_timeout() => {
                        trouble = format!(
                            "it takes requests and does not answer within {} s",
                            SIGN_WITHIN.as_secs()
                        );
                    }
                    Err(error) => trouble = super::http::because(&error),
                }
            }
            if !alive {
                return Err(format!("{node} is gone: {trouble}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_seen_however_late_it_comes_and_a_shower_is_none() {
        let pulse = Pulse::default();
        let answer = |status, times| (0..times).for_each(|_| pulse.answered(status));
        answer(200, 10_000);
        answer(503, STORM - 1);
        assert_eq!(pulse.storm(), None);
        answer(200, RECENT);
        answer(500, STORM - 1);
        assert_eq!(pulse.storm(), None, "what is long past does not count");
        answer(503, 1);
        assert!(pulse.storm().is_some());
    }
}
