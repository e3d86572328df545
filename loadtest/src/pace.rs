//! Wakes whoever waits for a moment: to some tens of microseconds, and where thousands are due in a second, to 250.
//!
//! Tokio's own timers are exact to a millisecond, which would count as latency of the server: a message is due at a moment, and
//! what is sent late has waited. So one timer of the kernel wakes one task, and that wakes whose moment has come.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Hands out alarms. Ends its task when it is dropped.
#[derive(Debug)]
pub struct Pacer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// One waits for one moment at a time.
#[derive(Debug)]
pub struct Alarm {
    shared: Arc<Shared>,
    at: Option<Instant>,
    waker: Arc<AtomicWaker>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Somebody is to be woken before the task looks again.
    sooner: Notify,
}

#[derive(Debug)]
struct Waiting {
    entries: BinaryHeap<Entry>,
    /// Before this the timer wakes nobody.
    rests_until: Instant,
    /// When the task looks again who is due.
    looks_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    waker: Arc<AtomicWaker>,
}

/// Who is due within this is woken with who is due now: one wake-up of the kernel for all.
const TOGETHER: Duration = Duration::from_micros(50);
/// The least between two wake-ups of the kernel: where thousands are due in a second, some share one, and are late by at most this.
const REST: Duration = Duration::from_micros(250);

impl Pacer {
    /// Starts it on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// When the system gives no timer.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                entries: BinaryHeap::new(),
                rests_until: Instant::now(),
                looks_at: None,
            }),
            sooner: Notify::new(),
        });
        let timer = timer::Timer::new()?;
        let task = tokio::spawn(wake(shared.clone(), timer));
        Ok(Self { shared, task })
    }

    #[must_use]
    pub fn alarm(&self) -> Alarm {
        Alarm {
            shared: self.shared.clone(),
            at: None,
            waker: Arc::default(),
        }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Alarm {
    /// Sets it to this moment, or to none.
    pub fn set(&mut self, at: Option<Instant>) {
        self.at = at;
        let Some(at) = at else { return };
        let entry = Entry {
            at,
            waker: self.waker.clone(),
        };
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let wakes_at = at.max(waiting.rests_until);
        let sooner = waiting.looks_at.is_none_or(|looks_at| wakes_at < looks_at);
        waiting.entries.push(entry);
        drop(waiting);
        if sooner {
            self.shared.sooner.notify_one();
        }
    }

    /// Waits until the moment has come; for ever when it is set to none. May be dropped and called again.
    pub async fn rings(&self) {
        poll_fn(|context| {
            // Registered before the clock is read: a ring in between is not missed.
            self.waker.register(context.waker());
            match self.at {
                Some(at) if at <= Instant::now() + TOGETHER => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

async fn wake(shared: Arc<Shared>, mut timer: timer::Timer) {
    loop {
        let looks_at = shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wake_due(Instant::now());
        match looks_at {
            None => shared.sooner.notified().await,
            Some(at) => tokio::select! {
                () = timer.until(at) => {}
                () = shared.sooner.notified() => {}
            },
        }
    }
}

impl Waiting {
    /// Wakes all who are due; says when to look again.
    fn wake_due(&mut self, now: Instant) -> Option<Instant> {
        let due = |first: &Entry| first.at <= now + TOGETHER;
        while self.entries.peek().is_some_and(due)
            && let Some(entry) = self.entries.pop()
        {
            entry.waker.wake();
            self.rests_until = now + REST;
        }
        self.looks_at = self.entries.peek().map(|first| first.at.max(self.rests_until));
        self.looks_at
    }
}

// The soonest is the greatest, so that it is on top.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

#[cfg(target_os = "linux")]
mod timer {
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel that the runtime's own poll waits for.
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub(super) fn new() -> std::io::Result<Self> {
            let timer = timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe to call; a descriptor that is owned keeps what that asks for"
            )]
            AsyncFd::new(timer).map(Self)
        }

        /// When the kernel refuses, it returns at once: whoever waits looks at the clock anyway.
        pub(super) async fn until(&mut self, at: Instant) {
            let left = at.saturating_duration_since(Instant::now());
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec {
                tv_sec: left.as_secs() as i64,
                // 0 would switch it off.
                tv_nsec: i64::from(left.subsec_nanos()).max(1),
            };
            let spec = Itimerspec {
                it_interval: zero,
                it_value: value,
            };
            if timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec).is_err() {
                tokio::task::yield_now().await;
                return;
            }
            if let Ok(mut ready) = self.0.readable().await {
                let mut count = [0; 8];
                // Nothing to read means that it was set anew.
                let _ = rustix::io::read(self.0.get_ref(), &mut count);
                ready.clear_ready();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::time::Instant;

    /// Tokio's own, to the millisecond.
    pub(super) struct Timer;

    impl Timer {
        pub(super) fn new() -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn until(&mut self, at: Instant) {
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_is_woken_too_early_and_everybody_is_woken() {
        let pacer = Pacer::start().unwrap();
        let began = Instant::now();
        let mut waiting = Vec::new();
        for number in 0..200u64 {
            let mut alarm = pacer.alarm();
            waiting.push(tokio::spawn(async move {
                // Not in order, some together, some again and again.
                for round in 1..=3u64 {
                    let at = began + Duration::from_micros(number * 7919 % 20_000 + round * 10_000);
                    alarm.set(Some(at));
                    alarm.rings().await;
                    assert!(Instant::now() + TOGETHER >= at);
                }
            }));
        }
        let all = async {
            for one in waiting {
                one.await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    }

    #[test]
    fn whoever_is_due_soon_after_a_wake_up_shares_the_next_one() {
        let start = Instant::now();
        let micros = |after: u64| start + Duration::from_micros(after);
        let entry = |at| Entry {
            at,
            waker: Arc::default(),
        };
        let mut waiting = Waiting {
            entries: [0, 40, 60, 120, 900].map(|after| entry(micros(after))).into(),
            rests_until: start,
            looks_at: None,
        };
        assert_eq!(
            waiting.wake_due(micros(0)),
            Some(micros(250)),
            "60 and 120 have to wait"
        );
        assert_eq!(waiting.entries.len(), 3);
        assert_eq!(
            waiting.wake_due(micros(255)),
            Some(micros(900)),
            "nobody before, so nobody waits"
        );
        assert_eq!(waiting.wake_due(micros(900)), None);
    }

    #[tokio::test]
    async fn one_set_later_to_an_earlier_moment_comes_first() {
        let pacer = Pacer::start().unwrap();
        let (mut far, mut near) = (pacer.alarm(), pacer.alarm());
        far.set(Some(Instant::now() + Duration::from_secs(600)));
        tokio::task::yield_now().await;
        near.set(Some(Instant::now() + Duration::from_millis(5)));
        tokio::select! {
            biased;
            () = far.rings() => panic!("ten minutes early"),
            () = near.rings() => {}
        }
    }
}
