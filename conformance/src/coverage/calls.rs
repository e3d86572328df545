//! Calls × status × code.

use chat_spec::Operation;

use super::{Named, Seen};
use crate::engine::Record;
use crate::engine::transcript::What;

/// Where a path or a method is none of the contract's.
const ANY: &str = "any other";

pub(super) fn named() -> Vec<Named> {
    let mut named = Vec::new();
    for operation in Operation::ALL {
        for answer in operation.responses() {
            if answer.codes.is_empty() {
                named.push((operation.id().to_owned(), answer.status.to_string()));
            }
            for code in answer.codes {
                named.push((operation.id().to_owned(), format!("{} {code}", answer.status)));
            }
        }
    }
    for answer in ["404 NOT_FOUND", "405 METHOD_NOT_ALLOWED"] {
        named.push((ANY.to_owned(), answer.to_owned()));
    }
    named
}

pub(super) fn observe(record: &Record, seen: &mut Seen) {
    for entry in &record.entries {
        let What::Response(received) = &entry.what else {
            continue;
        };
        if received.method == "HEAD" {
            continue;
        }
        let code = received.body["code"].as_str().filter(|_| received.status >= 400);
        let column = match code {
            Some(code) => format!("{} {code}", received.status),
            None => received.status.to_string(),
        };
        let row = received.operation.map_or(ANY, Operation::id);
        seen.add("calls", row, column);
    }
}
