//! Load tests that find what a server of the chat API truly bears: `chat-loadtest --help`.
//!
//! The parts that decide nothing about any server by themselves are public too, so that they can be tested and measured alone.

pub mod action;
mod attack;
pub mod bootstrap;
pub mod capacity;
pub mod cast;
pub mod cli;
pub mod compare;
pub mod drift;
pub mod generator;
pub mod glance;
pub mod latency;
pub mod ledger;
pub mod pace;
pub mod people;
pub mod profile;
mod replace;
pub mod report;
pub mod rest;
pub mod result;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod stamp;
pub mod tally;
pub mod target;
