//! Somebody wants a run to end before it is done: a CI job at the end of its time, or a person at the keyboard.

use std::future::pending;
use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What ends a run early from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interruption(watch::Receiver<Option<&'static str>>);

impl Interruption {
    /// Nobody will.
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// By SIGTERM or Ctrl-C. From now on neither ends the process by itself: whoever asked for this sees to it.
    ///
    /// # Errors
    ///
    /// When the system does not tell of signals.
    pub fn by_signals() -> io::Result<Self> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (tell, told) = watch::channel(None);
        tokio::spawn(async move {
            let why = tokio::select! {
                _ = term.recv() => "SIGTERM ended the run",
                _ = int.recv() => "Ctrl-C ended the run",
            };
            let _ = tell.send(Some(why)); // When nobody listens any more, there is nothing to end.
        });
        Ok(Self(told))
    }

    /// Why the run is to end, once it is.
    pub async fn came(&self) -> &'static str {
        let mut told = self.0.clone();
        match told.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or_default(),
            Err(_) => pending().await,
        }
    }

    /// Whether the run is to end.
    pub fn has_come(&self) -> bool {
        self.0.borrow().is_some()
    }
}
