//! The REST side of the server, seen from outside: real ports, a real store, and the program itself where its life is at stake.

mod auth;
mod client;
mod device;
mod headers;
mod limits;
mod lists;
mod messages;
mod person;
mod precedence;
mod server;
mod users;
