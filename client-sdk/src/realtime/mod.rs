//! One connection, close to the wire: no reconnect, no catch-up, no state.
//!
//! [`Client`](crate::Client) is built on this and does all that. Take a [`Connection`] by itself where every microsecond and
//! byte counts, as load tests do. It speaks Socket.IO protocol 5 over engine.io 4, by websocket alone, in the main namespace.
//!
//! * **One task per connection** reads, writes and keeps the heartbeat. It never waits for its user: see below.
//! * **Sending never waits.** [`Connection::emit`] and [`Connection::ask`] put a packet into a bounded queue and return; a full
//!   queue is [`ErrorKind::Full`](crate::ErrorKind::Full), and [`Connection::room`] waits until it is not. Packets leave in
//!   the order of the calls.
//! * **An answer is a future**, [`Answer`], which may be dropped, or awaited long after. [`Connection::ask_in_stream`] has the
//!   answer come among the events instead, which takes no future at all.
//! * **What arrives is stamped** with the [`Instant`](std::time::Instant) at which its frame left the socket, and is not parsed
//!   until its user asks for it: [`RawEvent::name`] costs nothing, [`RawEvent::payload`] reads into any type, and
//!   [`RawEvent::event`] into the one that the contract has.
//! * **Bounded.** A consumer that does not keep up loses events and is told how many: [`Incoming::Missed`]. Acks and
//!   heartbeats go on. What is rubbish is passed over.
//!
//! ```no_run
//! # async fn example(token: &str, peer: chat_client::protocol::UserId) -> chat_client::Result<()> {
//! use chat_client::protocol::SendMessage;
//! use chat_client::realtime::{Connection, Event, Incoming};
//!
//! let (connection, mut incoming) = Connection::to("http://localhost:3000").token(token).await?;
//! let message = SendMessage { to: peer, content: "hello".into(), message_type: None, chat_id: None, client_message_id: None };
//! let answer = connection.ask(&message)?; // is on its way
//! while let Some(next) = incoming.recv().await {
//!     let Incoming::Event(event) = next else { continue };
//!     if let Ok(Event::NewMessage(message)) = event.event() {
//!         println!("{:?}: {}", event.at, message.content);
//!     }
//! }
//! let stored = answer.await?; // durable
//! println!("{:?} {:?}", stored.at, stored.value.seq);
//! # Ok(())
//! # }
//! ```

mod actor;
mod answer;
mod connect;
mod connection;
mod emit;
mod event;
mod incoming;
mod packet;
mod tls;
mod wire;

pub use answer::{Acked, Answer};
pub use connect::Connect;
pub use connection::{Connection, End};
pub use emit::Emit;
pub(crate) use emit::written;
pub use event::Event;
pub use incoming::{Events, Incoming, RawAnswer, RawEvent};
pub use tls::Tls;
pub(crate) use wire::{Outgoing, Side, Wire};
