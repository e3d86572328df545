//! The ledger: every message is numbered, both sides keep book, and in the end the books are held against each other and
//! against the server's own history.
//!
//! A *stream* is what one sender's device sends to one person. The sender's side of it is an [`Outbox`], each receiving
//! device's an [`Inbox`]; both are kept by those who send and receive, without a lock. [`settle`] makes a [`Balance`] of them.
//!
//! | finding | is | why it fails a run |
//! |---|---|---|
//! | lost | acknowledged, and neither in the history nor seen by the receiver | promise 1 of the contract |
//! | missed | in the history, but a device that was to hear of it was not told, nor found it when it caught up | "exactly once per device" |
//! | doubled | told to a device twice, or twice in the history | promise 3 |
//! | out of order | told after a later message of the same stream, or after it in the history | promise 2 |
//! | foreign | told or stored, but never sent so: of an unknown stream, to the wrong person, or changed | promise 5 |
//! | contradicted | ack, event and history name different places (`seq`), `seq` has a hole, or what was refused was stored | promise 2 |
//! | unanswered | no ack before the end, on a connection that lived | every ack is owed |
//!
//! Of a run of up to 100,000 messages all are read back from the history; of a longer one what is open and the last ones of each chat,
//! for what both sides agree on is at least no fault of delivery. When a history cannot be read, the books of both sides alone are settled.
//!
//! What came *late* is counted too and fails nothing: latency has a judge of its own.

mod balance;
mod inbox;
mod outbox;
mod settle;

pub use self::balance::{Balance, Example, Finding};
pub use self::inbox::{Inbox, Told};
pub use self::outbox::{Fate, Outbox};
pub use self::settle::{Checked, Conversation, History, Stored, read_after, settle};
