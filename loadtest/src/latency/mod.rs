//! Latencies: of each kind of thing that is waited for, in all and by the second in which it was due.
//!
//! By the second in which it was *due*, so that a freeze is seen where it hurt: whatever was due while the server stood still
//! counts there with the whole time that it waited.

mod encoded;
mod recorder;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub use self::encoded::Encoded;
pub use self::recorder::{NotAdded, Recorder, Row, Sample, Seconds};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// From the moment a message was due to the server's ack.
    Ack,
    /// From the moment it was due to its arrival at a receiving device.
    Deliver,
    /// From the moment it was due to the news, at its sender, that it was read.
    Read,
    /// From the moment a keystroke was due to the peer's device.
    Typing,
    /// From the moment a change of status was due to the peer's device.
    Status,
    /// A page of history, from when it was due.
    History,
    /// The list of chats.
    Chats,
    /// A search.
    Search,
    /// `POST /api/auth/login`.
    Login,
    /// From the begin of a connection to `authenticated`.
    Connect,
    /// All that a device had missed, from the moment it lost its connection.
    CatchUp,
    /// From the moment anything was due to the moment the generator did it: how late the generator is itself.
    Turn,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Ack,
        Self::Deliver,
        Self::Read,
        Self::Typing,
        Self::Status,
        Self::History,
        Self::Chats,
        Self::Search,
        Self::Login,
        Self::Connect,
        Self::CatchUp,
        Self::Turn,
    ];

    /// As it is shown, and as goose's reports name it beside [`Kind::method`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Deliver => "deliver",
            Self::Read => "read",
            Self::Typing => "typing",
            Self::Status => "status",
            Self::History => "history",
            Self::Chats => "chats",
            Self::Search => "search",
            Self::Login => "login",
            Self::Connect => "connect",
            Self::CatchUp => "catch up",
            Self::Turn => "turn",
        }
    }

    /// How goose's reports group it: `SIO` for what goes over a socket.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::History | Self::Chats | Self::Search => "GET",
            Self::Login => "POST",
            _ => "SIO",
        }
    }
}

/// The figures of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Summary {
    /// Of microseconds.
    #[must_use]
    pub fn of<C: hdrhistogram::Counter>(histogram: &Histogram<C>) -> Self {
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            min: millis(histogram.min()),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(histogram.max()),
        }
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
