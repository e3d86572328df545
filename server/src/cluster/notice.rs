//! What a node finds out about the others and cannot settle by itself: the rules know whom to tell, and the store.

use chat_protocol::{Timestamp, UserId};
use tokio::sync::mpsc;

/// Notices that may wait.
const MOST: usize = 1024;

/// For the rules to see to.
#[derive(Debug)]
pub enum Notice {
    /// Comings and goings of which nobody here was told.
    Changed(Vec<Change>),
    /// Other nodes said things that this one did not hear: sessions of devices here may have ended.
    Missed,
}

/// A coming or going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub user: UserId,
    pub online: bool,
    /// To be saved: the node that knew is gone.
    pub last_seen: Option<Timestamp>,
}

/// The notices of one node, in their order.
pub type Notices = mpsc::Receiver<Notice>;

/// Where they are put.
#[derive(Clone)]
pub(super) struct NoticeBoard(mpsc::Sender<Notice>);

impl NoticeBoard {
    pub(super) fn new() -> (Self, Notices) {
        let (sender, notices) = mpsc::channel(MOST);
        (Self(sender), notices)
    }

    pub(super) fn post(&self, notice: Notice) {
        if let Notice::Changed(changes) = &notice
            && changes.is_empty()
        {
            return;
        }
        if self.0.try_send(notice).is_err() {
            tracing::warn!("too much happens at other nodes: some comings and goings are not told here");
        }
    }
}
