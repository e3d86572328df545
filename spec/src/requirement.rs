//! What a requirement is.

use std::fmt;

use crate::Operation;

/// A sentence of the contract that is true or false of a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Requirement {
    /// In words, stable: `send.idempotent.repeat-same-answer`. Never reused for another meaning.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// The claim that a server breaks when the sentence is false.
    pub profile: Profile,
    /// The sentence.
    pub text: &'static str,
    /// Of the OWASP API Security Top 10, 2023.
    pub owasp: &'static [&'static str],
    /// Of the OWASP ASVS, version 5.0.0.
    pub asvs: &'static [&'static str],
    /// The calls that it is about; none here and in `events` means every call, or the server as a whole.
    pub operations: &'static [Operation],
    /// The events that it is about.
    pub events: &'static [&'static str],
    /// Why no case can judge it from outside; none for all but a few.
    pub untestable: Option<&'static str>,
}

/// As in RFC 2119.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// A server without it does not conform.
    Must,
    /// A server should have a good reason not to.
    Should,
    /// As the server likes.
    May,
}

/// What a server may claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// The calls and events, both ways to authenticate, errors.
    Core,
    /// Edited and deleted messages are told to both sides.
    Edits,
    /// `seq`, catch-up, idempotent sends.
    Recovery,
    /// Abuse, leakage, authorization.
    Security,
    /// The same promises across several nodes.
    Cluster,
    /// What the documents of Engine.IO and Socket.IO ask of a server.
    Transport,
}

impl Level {
    /// All of them, the most binding first.
    pub const ALL: &'static [Self] = &[Self::Must, Self::Should, Self::May];

    /// As in requirements.toml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

impl Profile {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Core,
        Self::Edits,
        Self::Recovery,
        Self::Security,
        Self::Cluster,
        Self::Transport,
    ];

    /// As in requirements.toml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Edits => "edits",
            Self::Recovery => "recovery",
            Self::Security => "security",
            Self::Cluster => "cluster",
            Self::Transport => "transport",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
