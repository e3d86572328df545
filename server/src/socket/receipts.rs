//! Read receipts under way.
//!
//! A mark is answered when it is durable, which takes the database's time. What the socket sends next does not wait for that: a
//! message that had to would be late at the other user. Marks are made at the same time, and told in the order of their coming.

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::chat;

/// Receipts of one socket at a time. Beyond, its next event waits.
const MOST: usize = 64;

type Telling = BoxFuture<'static, ()>;

/// Most sockets have none under way, so nothing is kept for them.
#[derive(Default)]
pub(super) struct Receipts(Option<Box<UnderWay>>);

#[derive(Default)]
struct UnderWay {
    marks: FuturesOrdered<BoxFuture<'static, Telling>>,
    /// Of the oldest mark, which is made.
    telling: Option<Telling>,
}

impl Receipts {
    /// Makes the mark, beginning with the next look at [`Self::next`], and tells what came of it when its turn has come.
    pub(super) fn push<M, T>(
        &mut self,
        mark: impl Future<Output = M> + Send + 'static,
        tell: impl FnOnce(M) -> T + Send + 'static,
    ) where
        T: Future<Output = ()> + Send + 'static,
    {
        let under_way = self.0.get_or_insert_default();
        under_way.marks.push_back(mark.map(|made| tell(made).boxed()).boxed());
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|under_way| under_way.marks.len() < MOST)
    }

    /// Ends with the next one; never when there is none. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        let Some(under_way) = &mut self.0 else {
            return std::future::pending().await;
        };
        if under_way.telling.is_none() {
            under_way.telling = under_way.marks.next().await;
        }
        match &mut under_way.telling {
            Some(telling) => {
                telling.await;
                under_way.telling = None;
            }
            None => self.0 = None,
        }
    }

    /// Sees those that are left to their end, for whoever sent the messages is to hear of it.
    pub(super) fn finish(mut self, under_way: Option<chat::UnderWay>) {
        if self.0.is_some() {
            tokio::spawn(async move {
                while self.0.is_some() {
                    self.next().await;
                }
                drop(under_way);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn marks_are_made_at_once_and_told_in_their_order() {
        let (mut receipts, told) = (Receipts::default(), Arc::new(Mutex::new(Vec::new())));
        let mut made = Vec::new();
        for number in 0..MOST {
            assert!(receipts.has_room());
            let (done, waits) = oneshot::channel::<()>();
            made.push(done);
            let told = told.clone();
            receipts.push(waits, move |made| async move {
                made.unwrap();
                tokio::task::yield_now().await;
                told.lock().unwrap().push(number);
            });
        }
        assert!(!receipts.has_room());
        // The youngest is made first, and looks at them may be given up.
        while let Some(done) = made.pop() {
            done.send(()).unwrap();
            let look = std::pin::pin!(receipts.next());
            let _ = futures_util::poll!(look);
        }
        while receipts.0.is_some() {
            receipts.next().await;
        }
        assert_eq!(*told.lock().unwrap(), (0..MOST).collect::<Vec<_>>());
    }
}
