//! Events for any number of subscribers, each with a bounded queue.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::event::Event;

/// Tells all subscribers. One that is too slow is told how many it missed.
#[derive(Default)]
pub(crate) struct News(Mutex<State>);

#[derive(Default)]
struct State {
    queues: HashMap<u64, Queue>,
    next: u64,
    closed: bool,
}

struct Queue {
    events: VecDeque<Event>,
    capacity: usize,
    missed: u64,
    waker: Option<Waker>,
}

/// Ends when dropped.
pub(crate) struct Subscription {
    news: Arc<News>,
    id: u64,
}

impl News {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(self: &Arc<Self>, capacity: usize) -> Subscription {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let queue = Queue {
            events: VecDeque::new(),
            capacity: capacity.max(1),
            missed: 0,
            waker: None,
        };
        state.queues.insert(id, queue);
        Subscription { news: self.clone(), id }
    }

    pub(crate) fn tell(&self, event: Event) {
        let mut state = self.state();
        for queue in state.queues.values_mut() {
            if queue.missed > 0 || queue.events.len() >= queue.capacity {
                queue.missed += 1;
            } else {
                queue.events.push_back(event.clone());
            }
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for waker in state.queues.values_mut().filter_map(|queue| queue.waker.take()) {
            waker.wake();
        }
    }
}

impl Subscription {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.news.state();
        let closed = state.closed;
        let Some(queue) = state.queues.get_mut(&self.id) else {
            return Poll::Ready(None);
        };
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        // In the place of what was missed.
        if queue.missed > 0 {
            return Poll::Ready(Some(Event::Missed(std::mem::take(&mut queue.missed))));
        }
        if closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.news.state().queues.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_subscriber_is_told_what_it_missed_in_its_place() {
        let news = Arc::new(News::default());
        let slow = news.subscribe(2);
        for _ in 0..5 {
            news.tell(Event::CaughtUp);
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(event)) = slow.poll(&mut cx) {
            seen.push(event);
        }
        assert_eq!(seen, [Event::CaughtUp, Event::CaughtUp, Event::Missed(3)]);
        news.tell(Event::CaughtUp);
        assert_eq!(slow.poll(&mut cx), Poll::Ready(Some(Event::CaughtUp)));
        news.close();
        assert_eq!(slow.poll(&mut cx), Poll::Ready(None));
    }
}
