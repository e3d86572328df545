//! What wakes the one task of a client: something is to be sent, or it shall end.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Whether the client shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stop {
    No,
    /// When the outbox is empty.
    Gently,
    Now,
}

/// Rung by anybody, heard by one task.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    task: AtomicWaker,
    stop: AtomicU8,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.task.wake();
    }

    /// Rings from now on wake this task: look for what is to be done after this, not before.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Asks the client to end. What was asked for before holds when it is more.
    pub(crate) fn ask_to_stop(&self, how: Stop) {
        self.stop.fetch_max(how as u8, Ordering::AcqRel);
        self.ring();
    }

    pub(crate) fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Gently,
            _ => Stop::Now,
        }
    }

    /// Ready once the client shall end, however.
    pub(crate) async fn asked_to_stop(&self) {
        poll_fn(|cx| {
            self.listen(cx);
            match self.stop() {
                Stop::No => Poll::Pending,
                Stop::Gently | Stop::Now => Poll::Ready(()),
            }
        })
        .await;
    }
}
