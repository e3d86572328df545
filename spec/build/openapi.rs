//! The operations that the OpenAPI document describes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Result;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) summary: String,
    /// The schema of the request body.
    pub(crate) request: Option<String>,
    pub(crate) responses: Vec<Response>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    /// The schema of the body, if there is one.
    pub(crate) schema: Option<String>,
    pub(crate) codes: Vec<String>,
}

/// Every operation, in the order of the document.
pub(crate) fn operations(document: &Value) -> Result<Vec<Operation>> {
    let mut operations: Vec<Operation> = Vec::new();
    let paths = document["paths"].as_object().ok_or("openapi.yaml has no paths")?;
    for (path, item) in paths {
        for method in METHODS {
            let Some(described) = item.get(method) else { continue };
            let id = described["operationId"]
                .as_str()
                .ok_or_else(|| format!("{method} {path} has no operationId"))?;
            if operations.iter().any(|other| other.id == id) {
                return Err(format!("two operations are called {id}"));
            }
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                summary: described["summary"].as_str().unwrap_or_default().to_owned(),
                request: schema_of(&described["requestBody"]),
                responses: responses(document, described).map_err(|problem| format!("{id}: {problem}"))?,
            });
        }
    }
    Ok(operations)
}

/// Every error code of the document, those of paths and methods that do not exist included.
pub(crate) fn codes(document: &Value) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    collect_codes(document, &mut codes);
    codes
}

/// Collects every `x-error-codes` below a value.
pub(crate) fn collect_codes(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_codes(item, codes)),
        Value::Object(members) => {
            codes.extend(listed_codes(value));
            members.values().for_each(|member| collect_codes(member, codes));
        }
        _ => {}
    }
}

/// The codes that stand in the `x-error-codes` of a value itself.
pub(crate) fn listed_codes(value: &Value) -> Vec<String> {
    let listed = value["x-error-codes"].as_array().into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn responses(document: &Value, operation: &Value) -> Result<Vec<Response>> {
    let described = operation["responses"].as_object().ok_or("there are no responses")?;
    let response = |(status, response): (&String, &Value)| {
        let response = match response["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'))
        {
            Some(pointer) => document
                .pointer(pointer)
                .ok_or_else(|| format!("nothing is at #{pointer}"))?,
            None => response,
        };
        let status = status.parse().map_err(|_| format!("{status} is not a status"))?;
        let codes = listed_codes(response);
        if codes.is_empty() != (status < 400) {
            return Err(format!(
                "status {status}: x-error-codes stand on failures, and on every one"
            ));
        }
        Ok(Response {
            status,
            schema: schema_of(response),
            codes,
        })
    };
    described.iter().map(response).collect()
}

fn schema_of(carrier: &Value) -> Option<String> {
    let reference = carrier["content"]["application/json"]["schema"]["$ref"].as_str()?;
    Some(reference.strip_prefix("#/components/schemas/")?.to_owned())
}
