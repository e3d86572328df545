//! Whether the target still lives: what it answers while cases run, and what it says when it is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Target;

/// How long one sign of life may take.
const SIGN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked before it counts as gone.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(700);
/// Fewer failures are no storm.
const STORM: u64 = 200;

/// Counts the answers of the target itself, not of servers that cases start.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    answers: AtomicU64,
    broken: AtomicU64,
}

impl Pulse {
    /// An answer came. 503 is none that counts: the contract provides for it.
    pub(super) fn answered(&self, status: u16) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if status >= 500 && status != 503 {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says so when most answers are failures of the server.
    pub(super) fn storm(&self) -> Option<String> {
        let (answers, broken) = (
            self.answers.load(Ordering::Relaxed),
            self.broken.load(Ordering::Relaxed),
        );
        (broken >= STORM && broken * 2 > answers)
            .then(|| format!("a storm of failures: {broken} of {answers} answers had a status of 500 or above"))
    }
}

impl Target {
    /// Asks every node for a sign of life.
    ///
    /// # Errors
    ///
    /// Which node gave none, and why.
    pub async fn examine(&self) -> Result<(), String> {
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
