//! Ctrl-C and SIGTERM, from the start of the program: before goose listens for the one, and instead of it for both.

use std::io;
use std::process::exit;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// The code of a program that SIGINT ends.
const BY_SIGNAL: i32 = 130;
/// Goose keeps it as the reason.
const REASON: &str = "it was asked to end";

/// Whether somebody has ended a run of this process, by Ctrl-C for one: no other is to begin.
pub(crate) fn was_interrupted() -> bool {
    goose::is_killswitch_triggered()
}

/// Waits until somebody does.
pub(crate) async fn interrupted() {
    while !was_interrupted() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Listens from now on. The first signal has everything come to its end, which `told` is called for; the second one ends it
/// at once: servers that were started see that we are gone.
pub(crate) fn listen(told: impl FnOnce() + Send + 'static) {
    // One such handler there can be. Goose's would put itself in the place of ours, end the program at a second Ctrl-C as if a
    // run had failed, and take a first one for a second one while a run that is over comes to its end.
    let _ = ctrlc::set_handler(|| goose::trigger_killswitch(REASON));
    // Only afterwards: what is listened to later is asked as well, what was before is not.
    let Ok(mut signals) = Signals::listen() else { return };
    tokio::spawn(async move {
        signals.next().await;
        told();
        tokio::select! {
            () = signals.next() => exit(BY_SIGNAL),
            () = tell() => {}
        }
    });
}

/// Again and again, for goose forgets it when it is only just starting.
async fn tell() {
    loop {
        goose::trigger_killswitch(REASON);
        tokio::time::sleep(LOOK).await;
    }
}

/// Those that ask to end. Kept from one to the next, so that none between them is missed.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}
