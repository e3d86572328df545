//! Ctrl-C and SIGTERM, from the start of the program: before goose listens for the one, and instead of it for the other.

use std::process::exit;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// The code of a program that SIGINT ends.
const BY_SIGNAL: i32 = 130;

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

/// Listens from now on. The first signal has everything come to its end, the second one ends it at once: servers that were started
/// see that we are gone.
pub(crate) fn listen() {
    tokio::spawn(async {
        signal().await;
        tokio::select! {
            () = signal() => exit(BY_SIGNAL),
            () = tell() => {}
        }
    });
}

/// Again and again, for goose forgets it when it is only just starting.
async fn tell() {
    loop {
        goose::trigger_killswitch("it was asked to end");
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let listening = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = listening else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
