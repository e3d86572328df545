//! Read receipts under way.
//!
//! A mark is answered when it is durable, which takes the database's time. What the socket sends next does not wait for that: a
//! message that had to would be late at the other user.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;

/// Receipts of one socket at a time. Beyond, its next event waits.
const MOST: usize = 64;

/// Done at the same time, in the order of their coming. Most sockets have none under way, so nothing is kept for them.
#[derive(Default)]
pub(super) struct Receipts(Option<FuturesOrdered<BoxFuture<'static, ()>>>);

impl Receipts {
    /// Begins with the next look at [`Self::next`].
    pub(super) fn push(&mut self, receipt: impl Future<Output = ()> + Send + 'static) {
        self.0.get_or_insert_default().push_back(Box::pin(receipt));
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|under_way| under_way.len() < MOST)
    }

    /// Ends with the next one; never when there is none. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        let Some(under_way) = &mut self.0 else {
            return std::future::pending().await;
        };
        if under_way.next().await.is_none() {
            self.0 = None;
        }
    }

    /// Sees those that are left to their end, for whoever sent the messages is to hear of it.
    pub(super) fn finish(self) {
        if let Some(under_way) = self.0 {
            tokio::spawn(under_way.collect::<()>());
        }
    }
}
