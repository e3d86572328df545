//! The contract of the chat API, embedded: requirements, operations, events and schemas as items that the compiler checks.
//!
//! The documents themselves (`openapi.yaml`, `asyncapi.yaml`, `schemas/`, `requirements.toml`) are the source; this crate is
//! made from them when it is built, and a contradiction between them fails the build.

#![deny(missing_docs)]

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

/// openapi.yaml with its schemas inside, as JSON.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
/// openapi.yaml with its schemas inside.
pub const OPENAPI_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.yaml"));
/// asyncapi.yaml with its schemas inside, as JSON.
pub const ASYNCAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.json"));
/// asyncapi.yaml with its schemas inside.
pub const ASYNCAPI_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.yaml"));

/// A sentence of the contract that is true or false of a server.
#[derive(Debug)]
pub struct Requirement {
    /// In words, stable: `send.idempotent.repeat-same-answer`.
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
    /// The calls that it is about.
    pub operations: &'static [Operation],
    /// The events that it is about.
    pub events: &'static [&'static str],
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
}

/// One status of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The error codes that it can carry; none when it is a success.
    pub codes: &'static [&'static str],
    /// The schema of its body; none when it has none.
    pub schema: Option<&'static str>,
}

/// A schema of `schemas/` with everything it refers to, as JSON that means the same in draft-07 and 2020-12.
pub fn schema(name: &str) -> Option<&'static str> {
    let index = SCHEMAS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(SCHEMAS[index].1)
}

/// The names of all schemas.
pub fn schema_names() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(name, _)| *name)
}

/// The requirement with this id.
pub fn requirement(id: &str) -> Option<&'static Requirement> {
    REQUIREMENTS.iter().copied().find(|requirement| requirement.id == id)
}

impl Profile {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Core, Self::Edits, Self::Recovery, Self::Security, Self::Cluster];

    /// As in requirements.toml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Edits => "edits",
            Self::Recovery => "recovery",
            Self::Security => "security",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        })
    }
}
