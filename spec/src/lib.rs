//! The contract of the chat API, embedded: requirements, operations, events and schemas as items that the compiler checks.
//!
//! The documents themselves (`openapi.yaml`, `asyncapi.yaml`, `schemas/`, `requirements.toml`) are the source; this crate is
//! made from them when it is built, and a contradiction between them fails the build.

#![deny(missing_docs)]

mod operation;
mod requirement;

pub use operation::Answer;
pub use requirement::{Level, Profile, Requirement};

use operation::{EventFacts, OperationFacts};

/// openapi.yaml with its schemas inside, as JSON.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
/// openapi.yaml with its schemas inside.
pub const OPENAPI_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.yaml"));
/// asyncapi.yaml with its schemas inside, as JSON.
pub const ASYNCAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.json"));
/// asyncapi.yaml with its schemas inside.
pub const ASYNCAPI_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.yaml"));
/// requirements.toml as it is written.
pub const REQUIREMENTS_TOML: &str = include_str!("../requirements.toml");

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

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
