//! The REST calls: requests to be awaited, and lists to be walked.
//!
//! They are methods of [`Client`](crate::Client); what they return is a request that does nothing until it is awaited. Each is
//! tried again as [`Backoff`](crate::Backoff) allows when that is safe: reads and changes that may be repeated after any
//! failure, others only when the server surely has done nothing. A token that has expired is refreshed on the way.

mod accounts;
mod call;
mod http;
mod list;
mod messages;
mod users;

pub use accounts::{ChangePassword, UpdateProfile};
pub use call::Request;
pub(crate) use call::{BoxFuture, Call, Repeat};
pub(crate) use http::{Http, retry_after};
pub use list::{List, Pages};
pub use messages::{History, HistoryPages, SearchMessages, SendByRest};
pub use users::SearchUsers;
