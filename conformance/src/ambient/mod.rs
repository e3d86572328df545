//! What holds for every answer, event and ack of every case, judged when the case is over from what went over the wire.
//!
//! A case says what it is about. That a message is never shown to strangers, that nobody's email leaks and that every shape is
//! right is about all of them.

mod answers;
mod claims;
mod packets;
mod truth;
mod values;

use std::collections::BTreeMap;

use chat_spec::{Requirement, req};
use serde_json::Value;

use crate::engine::Record;

/// More failures of one requirement in one case say nothing new.
const MOST_FAILURES: u32 = 3;

/// What is judged wherever an answer or an event comes, so that no case needs to name it.
pub const EVERYWHERE: [&Requirement; 13] = [
    &req::JSON_RESPONSE_CONTENT_TYPE,
    &req::ERRORS_SHAPE_REST,
    &req::ERRORS_SHAPE_EVENT,
    &req::ERRORS_CODE_KNOWN,
    &req::ERRORS_SERVER_CODE,
    &req::ERRORS_RETRY_AFTER_SECONDS,
    &req::HEADERS_REQUEST_ID_ALWAYS,
    &req::HEADERS_SECURITY_NOSNIFF,
    &req::HEADERS_SECURITY_NO_POWERED_BY,
    &req::HEADERS_SECURITY_NO_VERSION,
    &req::LISTS_SHAPE_PAGE,
    &req::TOKEN_CHALLENGE_BEARER,
    &req::LIMITS_HEADERS_EVERYWHERE,
];

/// A judgement that no case made.
#[derive(Debug)]
pub struct Judgement {
    pub requirement: &'static Requirement,
    pub pass: bool,
    pub expected: String,
    pub got: String,
}

/// Says what is wrong with the shape of a value, if anything, by the name of its schema.
pub type Shape<'a> = &'a dyn Fn(&str, &Value) -> Option<String>;

/// Collects judgements.
struct Judge<'a> {
    shape: Shape<'a>,
    judgements: Vec<Judgement>,
    failures: BTreeMap<&'static str, u32>,
}

impl Judge<'_> {
    fn check(
        &mut self,
        requirement: &'static Requirement,
        pass: bool,
        expected: impl FnOnce() -> String,
        got: impl FnOnce() -> String,
    ) {
        if !pass {
            let failures = self.failures.entry(requirement.id).or_default();
            *failures += 1;
            if *failures > MOST_FAILURES {
                return;
            }
        }
        self.judgements.push(Judgement {
            requirement,
            pass,
            expected: if pass { String::new() } else { expected() },
            got: if pass { String::new() } else { got() },
        });
    }

    fn shaped(&mut self, requirement: &'static Requirement, schema: &str, value: &Value) {
        let wrong = (self.shape)(schema, value);
        let pass = wrong.is_none();
        self.check(
            requirement,
            pass,
            || format!("the shape {schema}"),
            || wrong.unwrap_or_default(),
        );
    }
}

/// Judges a whole case. `shape` knows the schemas of the contract.
pub fn judge(record: &Record, shape: Shape<'_>) -> Vec<Judgement> {
    let mut judge = Judge {
        shape,
        judgements: Vec::new(),
        failures: BTreeMap::new(),
    };
    answers::judge(record, &mut judge);
    packets::judge(record, &mut judge);
    truth::judge(record, &mut judge);
    judge.judgements
}
