//! Every call that takes a body with every body that is not JSON, and every other call with a body that it ignores.

use chat_spec::{Operation, Requirement, req};
use serde_json::{Map, Value, json};

use super::fixture::{Fixture, gentle_first, needs_token, success_of, with_body};
use crate::cases;
use crate::engine::{Outcome, World};

cases!("bodies":
    every_call_refuses_what_is_no_json [
        PRECEDENCE_CONTENT_TYPE_MISSING, PRECEDENCE_CONTENT_TYPE_UNSUPPORTED, PRECEDENCE_JSON_DEEP_NESTING,
        PRECEDENCE_JSON_LONE_SURROGATE, PRECEDENCE_JSON_MALFORMED, PRECEDENCE_JSON_MISSING_BODY,
        PRECEDENCE_JSON_NOT_AN_OBJECT, PRECEDENCE_JSON_NOT_UTF8,
    ],
    every_call_takes_json_however_it_is_announced [PRECEDENCE_CONTENT_TYPE_PARAMETERS],
    every_call_without_a_body_ignores_one [JSON_REQUEST_BODY_IGNORED],
);

/// Bodies that are not JSON, whatever else is tolerated.
const NOT_JSON: [&[u8]; 16] = [
    b"{",
    b"}",
    b"{\"a\":}",
    b"{\"a\" 1}",
    b"{a: 1}",
    b"{'a': 1}",
    b"{\"a\": 1,}",
    b"{} {}",
    b"{\"a\": 01}",
    b"{\"a\": NaN}",
    b"{\"a\": +1}",
    b"{\"a\": \"line\nbreak\"}",
    b"{\"a\": \"\\x41\"}",
    b"// comment\n{}",
    b"nul",
    b"a=b&c=d",
];

const NOT_UTF8: [&[u8]; 3] = [
    b"{\"a\": \"\xff\"}",
    b"{\"a\": \"\xc3\x28\"}",
    b"{\"a\": \"\xed\xa0\x80\"}",
];

const NOT_AN_OBJECT: [&str; 8] = [
    "null",
    "true",
    "7",
    "-1.5e3",
    "\"text\"",
    "[]",
    "[{}]",
    "[[\"a\", \"b\"]]",
];

const OTHER_TYPES: [&str; 8] = [
    "text/plain",
    "text/json",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/jsonp",
    "json",
];

async fn every_call_refuses_what_is_no_json(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let before = f.state().await?;
    for operation in with_body() {
        let good = f.body(operation).unwrap_or_default().to_string();
        let call = |kind: &str, body: &[u8]| {
            let request = f.ann.request(operation.method(), &f.path(operation));
            request.header("content-type", kind).raw(body.to_vec()).send()
        };
        for body in NOT_JSON {
            let answer = call("application/json", body).await?;
            w.refused(&req::PRECEDENCE_JSON_MALFORMED, &answer, 400, "MALFORMED_JSON");
        }
        for body in NOT_UTF8 {
            let answer = call("application/json", body).await?;
            w.refused(&req::PRECEDENCE_JSON_NOT_UTF8, &answer, 400, "MALFORMED_JSON");
        }
        for body in NOT_AN_OBJECT {
            let answer = call("application/json", body.as_bytes()).await?;
            w.refused(&req::PRECEDENCE_JSON_NOT_AN_OBJECT, &answer, 400, "VALIDATION_ERROR");
        }
        for kind in OTHER_TYPES {
            let answer = call(kind, good.as_bytes()).await?;
            w.refused(
                &req::PRECEDENCE_CONTENT_TYPE_UNSUPPORTED,
                &answer,
                415,
                "UNSUPPORTED_MEDIA_TYPE",
            );
        }
        let bare = f.ann.request(operation.method(), &f.path(operation));
        let answer = bare.raw(good.clone()).send().await?;
        w.refused(
            &req::PRECEDENCE_CONTENT_TYPE_MISSING,
            &answer,
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        );
        // Here an empty object is a good one; no body is not.
        let nothing = f.ann.request(operation.method(), &f.path(operation)).send().await?;
        w.refused(&req::PRECEDENCE_JSON_MISSING_BODY, &nothing, 400, "VALIDATION_ERROR");
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for field in f
            .body(operation)
            .iter()
            .filter_map(Value::as_object)
            .flat_map(Map::keys)
        {
            // Even to a server that can read it, it is no text.
            let answer = call("application/json", format!("{{\"{field}\": {deep}}}").as_bytes()).await?;
            w.check(
                &req::PRECEDENCE_JSON_DEEP_NESTING,
                answer.status == 400,
                format!("{operation} with a deep {field}: 400"),
                answer.status,
            );
        }
        // Of an unknown field, what can be read is ignored. The only call to which that leaves nothing to refuse takes `{}`.
        let answer = call("application/json", format!("{{\"a\": {deep}}}").as_bytes()).await?;
        let may_succeed = operation == Operation::UpdateProfile;
        w.check(
            &req::PRECEDENCE_JSON_DEEP_NESTING,
            answer.status == 400 || (may_succeed && answer.status == 200),
            format!(
                "{operation} with a deep unknown field: 400{}",
                if may_succeed { " or 200" } else { "" }
            ),
            answer.status,
        );
        let surrogate = call("application/json", b"{\"a\": \"\\ud800\", \"b\": \"\\udc00\\ud800\"}").await?;
        w.check(
            &req::PRECEDENCE_JSON_LONE_SURROGATE,
            surrogate.status < 500,
            "no 5xx",
            surrogate.status,
        );
    }
    w.equal(&req::PRECEDENCE_JSON_MALFORMED, "state", before, f.state().await?);
    Ok(())
}

async fn every_call_takes_json_however_it_is_announced(w: World) -> Outcome {
    let mut f = Fixture::new(&w).await?;
    for operation in with_body() {
        for kind in [
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "APPLICATION/JSON",
            "application/json ; charset=utf-8",
        ] {
            let body = f.body(operation).unwrap_or_default();
            let request = f.ann.request(operation.method(), &f.path(operation));
            let answer = request
                .header("content-type", kind)
                .raw(body.to_string())
                .send()
                .await?;
            let requirement: &'static Requirement = &req::PRECEDENCE_CONTENT_TYPE_PARAMETERS;
            w.success(requirement, &answer, success_of(operation), None)?;
            if [Operation::RefreshToken, Operation::ChangePassword].contains(&operation) {
                f.ann = f.ann.with_tokens(&answer);
            }
        }
    }
    Ok(())
}

async fn every_call_without_a_body_ignores_one(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in gentle_first().filter(|operation| operation.request_schema().is_none()) {
        let user = if operation == Operation::Logout {
            f.ann.login().await?
        } else {
            f.ann.clone()
        };
        let json = json!({"limit": 0, "q": "", "id": "x", "userId": f.bob.id}).to_string();
        for (kind, body) in [
            (Some("application/json"), json.as_str()),
            (Some("application/json"), "{broken"),
            (Some("text/plain"), "text"),
            (None, "without a type"),
        ] {
            // Once deleted or logged out there is nothing more to ask.
            let once = matches!(operation, Operation::DeleteMessage | Operation::Logout);
            if once && body != "text" {
                continue;
            }
            let mut request = user.request(operation.method(), &f.path(operation)).raw(body);
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            let answer = request.send().await?;
            let got = format!("{} {}", answer.status, answer.code());
            let expected = success_of(operation);
            w.check(
                &req::JSON_REQUEST_BODY_IGNORED,
                answer.status == expected,
                format!("{operation}: {expected}"),
                got,
            );
        }
        debug_assert!(needs_token(operation));
    }
    Ok(())
}
