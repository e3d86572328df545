//! Writes the items that `src/lib.rs` includes. Types and their docs stand there; here are only the tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::Result;
use crate::asyncapi::{Event, Events};
use crate::bundle::{Schemas, self_contained};
use crate::coverage::Unreachable;
use crate::openapi::{Operation, Response};
use crate::requirements::Requirement;

/// `enum Operation`.
pub(crate) fn operations(operations: &[Operation]) -> String {
    let variants = operations.iter().map(|operation| {
        let Operation {
            method, path, summary, ..
        } = operation;
        (pascal(&operation.id), format!("{summary}: `{method} {path}`."))
    });
    let facts = operations.iter().map(|operation| {
        let Operation {
            id,
            method,
            path,
            summary,
            request,
            responses,
        } = operation;
        let codes = strings(
            &responses
                .iter()
                .flat_map(|response| response.codes.clone())
                .collect::<BTreeSet<_>>(),
        );
        let answers: String = responses.iter().map(answer).collect();
        format!(
            "OperationFacts {{ id: {id:?}, method: {method:?}, path: {path:?}, summary: {summary:?}, \
             request: {request:?}, answers: &[{answers}], error_codes: {codes} }}"
        )
    });
    enumeration(
        "Operation",
        "OperationFacts",
        "A REST call of the contract.",
        variants,
        facts,
    )
}

/// `enum ClientEvent` and `enum ServerEvent`.
pub(crate) fn events(events: &Events) -> String {
    let one = |name: &str, doc: &str, events: &[Event]| {
        let variants = events
            .iter()
            .map(|event| (pascal(&event.name), format!("`{}`: {}.", event.name, event.summary)));
        let facts = events.iter().map(|event| {
            let Event {
                name,
                payload,
                ack,
                codes,
                ..
            } = event;
            let (ack, codes) = (ack.as_deref().unwrap_or_default(), strings(codes));
            format!("EventFacts {{ name: {name:?}, schema: {payload:?}, ack: {ack:?}, error_codes: {codes} }}")
        });
        enumeration(name, "EventFacts", doc, variants, facts)
    };
    one("ClientEvent", "An event that a client sends.", &events.client)
        + &one("ServerEvent", "An event that a server sends.", &events.server)
}

/// `ERROR_CODES`.
pub(crate) fn codes(codes: &BTreeSet<String>) -> String {
    format!(
        "/// Every error code of REST and Socket.IO, sorted.\npub static ERROR_CODES: &[&str] = {};\n\n",
        strings(codes)
    )
}

/// `SCHEMAS`.
pub(crate) fn schemas(schemas: &Schemas) -> Result<String> {
    let mut code = "/// Every schema of `schemas/` by name, sorted, each with whatever it refers to.\n\
                    pub static SCHEMAS: &[(&str, &str)] = &[\n"
        .to_owned();
    for name in schemas.keys() {
        let _ = writeln!(
            code,
            "    ({name:?}, {:?}),",
            self_contained(name, schemas)?.to_string()
        );
    }
    Ok(code + "];\n\n")
}

/// `mod req` and `REQUIREMENTS`.
pub(crate) fn requirements(requirements: &[Requirement]) -> String {
    let mut code = "/// Every requirement as an item of its own: `send.idempotent.repeat-same-answer` is\n\
                    /// `SEND_IDEMPOTENT_REPEAT_SAME_ANSWER`. A misspelt one does not compile.\n\
                    pub mod req {\n    use super::{Level, Operation, Profile, Requirement};\n\n"
        .to_owned();
    for requirement in requirements {
        let Requirement { id, text, .. } = requirement;
        let operations: String = requirement
            .operations
            .iter()
            .map(|id| format!("Operation::{}, ", pascal(id)))
            .collect();
        let doc = escape(&format!("{} ({}): {text}", requirement.level, requirement.profile));
        let _ = write!(
            code,
            "    #[doc = {doc:?}]\n    pub static {name}: Requirement = Requirement {{\n        id: {id:?},\n        \
             level: Level::{level},\n        profile: Profile::{profile},\n        text: {text:?},\n        \
             owasp: {owasp},\n        asvs: {asvs},\n        operations: &[{operations}],\n        events: {events},\n        \
             untestable: {untestable:?},\n    }};\n",
            name = requirement.constant(),
            level = pascal(&requirement.level.to_lowercase()),
            profile = pascal(&requirement.profile),
            owasp = strings(&requirement.owasp),
            asvs = strings(&requirement.asvs),
            events = strings(&requirement.events),
            untestable = requirement.untestable,
        );
    }
    code += "}\n\n/// Every requirement, in the order of `requirements.toml`.\npub static REQUIREMENTS: &[&Requirement] = &[\n";
    for requirement in requirements {
        let _ = writeln!(code, "    &req::{},", requirement.constant());
    }
    code + "];\n"
}

/// `UNREACHABLE`.
pub(crate) fn unreachable(entries: &[Unreachable]) -> String {
    let mut code = "\n/// Cells of the coverage matrix that need not be reached, as `group/row/column` in which `*` is anything, each\n\
                    /// with the reason. From `coverage.toml`.\npub static UNREACHABLE: &[(&str, &str)] = &[\n"
        .to_owned();
    for Unreachable { cells, reason } in entries {
        let _ = writeln!(code, "    ({cells:?}, {reason:?}),");
    }
    code + "];\n"
}

/// An enum whose `facts()` gives the row of a table.
fn enumeration(
    name: &str,
    facts_type: &str,
    doc: &str,
    variants: impl Iterator<Item = (String, String)>,
    facts: impl Iterator<Item = String>,
) -> String {
    let (mut declared, mut all, mut rows) = (String::new(), String::new(), String::new());
    for ((variant, doc), row) in variants.zip(facts) {
        let _ = writeln!(declared, "    #[doc = {:?}]\n    {variant},", escape(&doc));
        let _ = write!(all, "{name}::{variant}, ");
        let _ = writeln!(rows, "            {name}::{variant} => &{row},");
    }
    format!(
        "#[doc = {doc:?}]\n#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum {name} {{\n\
         {declared}}}\n\nimpl {name} {{\n    /// All of them, in the order of the document.\n    \
         pub const ALL: &'static [{name}] = &[{all}];\n\n    fn facts(self) -> &'static {facts_type} {{\n        \
         match self {{\n{rows}        }}\n    }}\n}}\n\n"
    )
}

fn answer(response: &Response) -> String {
    let Response { status, schema, codes } = response;
    format!(
        "Answer {{ status: {status}, codes: {}, schema: {schema:?} }}, ",
        strings(codes)
    )
}

fn strings<'a>(strings: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<_> = strings.into_iter().map(|string| format!("{string:?}")).collect();
    format!("&[{}]", quoted.join(", "))
}

/// `sendMessage` and `send_message` are both `SendMessage`.
fn pascal(name: &str) -> String {
    let mut pascal = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        pascal.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        pascal.push_str(letters.as_str());
    }
    pascal
}

/// Texts are not Markdown: brackets and braces of patterns must not become links.
fn escape(text: &str) -> String {
    text.replace('[', "\\[")
        .replace(']', "\\]")
        .replace('<', "\\<")
        .replace('*', "\\*")
}
