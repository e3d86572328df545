//! How a run stands, while it runs.

use std::time::Duration;

use crate::target::Usage;

/// How it stands, for whoever looks on.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    pub phase: &'static str,
    pub elapsed: Duration,
    pub lasts: Duration,
    pub connected: u64,
    pub devices: u64,
    pub sent: u64,
    pub acked: u64,
    pub delivered: u64,
    pub errors: u64,
    pub under_way: i64,
    pub disconnects: u64,
    /// Of the last seconds, in milliseconds: delivered, median and 99th percentile; and lateness of the generator.
    pub deliver: Option<(f64, f64)>,
    pub lateness: Option<f64>,
    pub offered_per_second: f64,
    pub sent_per_second: f64,
    pub usage: Option<Usage>,
    /// In the end: how many chats have been read back, and of how many.
    pub read: usize,
    pub chats: usize,
}

impl Glance {
    /// Of so many chats so many have been read back.
    pub(crate) fn reading_back(read: usize, chats: usize) -> Self {
        Self {
            phase: "settle",
            read,
            chats,
            ..Self::default()
        }
    }
}

/// Looks on while a run is made.
pub type Watch = Box<dyn Fn(&Glance) + Send + Sync>;
