//! `/docs`: the contract as one page to read, made from the two documents. No script, nothing from another host.

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use chat_spec::{ASYNCAPI_JSON, OPENAPI_JSON};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

const STYLE: &str = include_str!("docs.css");
/// The page brings its own style and needs nothing else.
const POLICY: &str =
    "default-src 'none';style-src 'unsafe-inline';base-uri 'none';form-action 'none';frame-ancestors 'none'";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let read = |text| serde_json::from_str(text).unwrap_or(Value::Null);
    page(&read(OPENAPI_JSON), &read(ASYNCAPI_JSON)).into_string()
});

pub async fn docs() -> Response {
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE.as_str())).into_response()
}

pub async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI_JSON).into_response()
}

pub async fn asyncapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], ASYNCAPI_JSON).into_response()
}

fn page(openapi: &Value, asyncapi: &Value) -> Markup {
    let (mut calls, mut incoming, mut outgoing) = (Vec::new(), Vec::new(), Vec::new());
    for (path, item) in members(&openapi["paths"]) {
        for (method, operation) in members(item) {
            calls.push((method.to_uppercase(), path.as_str(), operation));
        }
    }
    for (name, operation) in members(&asyncapi["operations"]) {
        let side = if operation["action"] == "receive" {
            &mut incoming
        } else {
            &mut outgoing
        };
        side.push((name.trim_start_matches("on_"), operation));
    }
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Chat API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav {
                    strong { "Chat API" }
                    @for (method, path, operation) in &calls {
                        a href={ "#" (text(&operation["operationId"])) } { span class={ "method " (method) } { (method) } (path.trim_start_matches("/api")) }
                    }
                    strong { "A client sends" }
                    @for (name, _) in &incoming { a href={ "#receive-" (name) } { (name) } }
                    strong { "The server sends" }
                    @for (name, _) in &outgoing { a href={ "#send-" (name) } { (name) } }
                    strong { "Shapes" }
                    a href="#schemas" { "schemas" }
                }
                main {
                    h1 { "Chat API" }
                    p { "For programs: " a href="/openapi.json" { "openapi.json" } ", " a href="/asyncapi.json" { "asyncapi.json" } "." }
                    (paragraphs(&openapi["info"]["description"]))
                    h2 { "REST" }
                    @for (method, path, operation) in &calls { (call(openapi, method, path, operation)) }
                    h2 { "Socket.IO" }
                    (paragraphs(&asyncapi["info"]["description"]))
                    h3 { "A client sends" }
                    @for (name, operation) in &incoming { (event(asyncapi, "receive", name, operation)) }
                    h3 { "The server sends" }
                    @for (name, operation) in &outgoing { (event(asyncapi, "send", name, operation)) }
                    h2 id="schemas" { "Schemas" }
                    @for document in [openapi, asyncapi] {
                        @for (name, schema) in members(&document["components"]["schemas"]) {
                            @if std::ptr::eq(document, openapi) || openapi["components"]["schemas"].get(name).is_none() {
                                details id={ "schema-" (name) } {
                                    summary { code { (name) } " " (text(&schema["description"])) }
                                    pre { (pretty(schema)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn call(openapi: &Value, method: &str, path: &str, operation: &Value) -> Markup {
    let resolve = |value: &Value| -> Value {
        let target = value["$ref"]
            .as_str()
            .and_then(|target| openapi.pointer(target.trim_start_matches('#')));
        target.unwrap_or(value).clone()
    };
    let parameters: Vec<Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(&resolve)
        .collect();
    let body = &operation["requestBody"]["content"]["application/json"];
    html! {
        article id=(text(&operation["operationId"])) {
            h3 { span class={ "method " (method) } { (method) } code { (path) } }
            p { (text(&operation["summary"])) "." @if let Some(more) = operation["description"].as_str() { " " (more) } }
            @if operation["security"].as_array().is_some_and(Vec::is_empty) { p { "Needs no token." } }
            @if !parameters.is_empty() {
                table {
                    tr { th { "parameter" } th { "in" } th { "meaning" } th { "takes" } }
                    @for one in &parameters {
                        tr {
                            td { code { (text(&one["name"])) } @if one["required"] == true { " *" } }
                            td { (text(&one["in"])) }
                            td { (text(&one["description"])) }
                            td { code { (one["schema"].to_string()) } }
                        }
                    }
                }
            }
            @if body.is_object() { (content("Body", body)) }
            table {
                tr { th { "status" } th { "meaning" } th { "codes" } }
                @for (status, response) in members(&operation["responses"]) {
                    @let response = resolve(response);
                    tr {
                        td { code { (status) } }
                        td { (text(&response["description"])) }
                        td { (codes(&response["x-error-codes"])) }
                    }
                }
            }
            @for (status, response) in members(&operation["responses"]) {
                @let body = &response["content"]["application/json"];
                @if status.starts_with('2') && body.is_object() { (content(status, body)) }
            }
        }
    }
}

fn event(asyncapi: &Value, side: &str, name: &str, operation: &Value) -> Markup {
    let message = |reference: &Value| {
        let target = reference["$ref"]
            .as_str()
            .and_then(|target| target.rsplit('/').next())
            .unwrap_or_default();
        asyncapi["components"]["messages"][target].clone()
    };
    let examples = |message: &Value, title: &str| {
        let schema = &message["payload"];
        html! {
            details {
                summary { (title) ": " (shape(schema)) }
                @for example in message["examples"].as_array().into_iter().flatten() { pre { (pretty(&example["payload"])) } }
            }
        }
    };
    let reply = &operation["reply"]["messages"][0];
    html! {
        article id={ (side) "-" (name) } {
            h4 { code { (name) } }
            p { (text(&operation["summary"])) "." }
            (examples(&message(&operation["messages"][0]), "Payload"))
            @if reply.is_object() { (examples(&message(reply), "Answer")) }
            @if operation["x-error-codes"].is_array() { p { "Codes: " (codes(&operation["x-error-codes"])) } }
        }
    }
}

fn content(title: &str, body: &Value) -> Markup {
    html! {
        details {
            summary { (title) ": " (shape(&body["schema"])) }
            @for (_, example) in members(&body["examples"]) { pre { (pretty(&example["value"])) } }
        }
    }
}

fn shape(schema: &Value) -> Markup {
    let name = schema["$ref"]
        .as_str()
        .and_then(|target| target.rsplit('/').next())
        .unwrap_or_default();
    html! { a href={ "#schema-" (name) } { code { (name) } } }
}

fn codes(codes: &Value) -> Markup {
    html! { @for code in codes.as_array().into_iter().flatten() { code { (text(code)) } " " } }
}

fn paragraphs(value: &Value) -> Markup {
    html! { @for paragraph in text(value).split("\n\n") { p { (paragraph.replace('`', "")) } } }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
