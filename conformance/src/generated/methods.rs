//! Every path with every method, and paths that are almost one.

use std::collections::{BTreeMap, BTreeSet};

use chat_spec::{Operation, req};

use super::fixture::{Fixture, UNKNOWN, path_to};
use crate::cases;
use crate::engine::{FOREIGN, Outcome, World};

cases!("methods":
    every_other_method_is_refused [
        PRECEDENCE_METHOD_ALLOW_HEADER, PRECEDENCE_METHOD_BEFORE_TOKEN, PRECEDENCE_METHOD_NOT_ALLOWED,
    ],
    every_path_that_is_almost_one_is_none [
        PRECEDENCE_PATH_BEFORE_METHOD, PRECEDENCE_PATH_NOT_FOUND, PRECEDENCE_PATH_TRAILING_SLASH,
    ],
    every_path_answers_a_preflight [HTTP_CORS_NO_WILDCARD_CREDENTIALS, HTTP_OPTIONS_CORS],
    every_head_is_as_its_get [HTTP_HEAD_AS_GET],
);

/// What HEAD has in common with GET, even where an id or a time of its own stands in other headers.
const LASTING: [&str; 4] = [
    "content-type",
    "cache-control",
    "www-authenticate",
    "x-content-type-options",
];

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// The paths with their methods.
fn paths() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut paths: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for operation in Operation::ALL {
        let path = operation.path().replace("{id}", "x1").replace("{userId}", "x1");
        paths.entry(path).or_default().insert(operation.method());
    }
    paths
}

async fn every_other_method_is_refused(w: World) -> Outcome {
    for (path, methods) in paths() {
        for method in METHODS {
            let has = methods.contains(method) || (method == "HEAD" && methods.contains("GET"));
            if has {
                continue;
            }
            for token in [None, Some("garbage")] {
                let mut request = w.request(method, &path);
                if let Some(token) = token {
                    request = request.token(token);
                }
                let answer = request.send().await?;
                if method == "HEAD" {
                    w.check(
                        &req::PRECEDENCE_METHOD_NOT_ALLOWED,
                        answer.status == 405,
                        405,
                        answer.status,
                    );
                } else {
                    w.refused(&req::PRECEDENCE_METHOD_NOT_ALLOWED, &answer, 405, "METHOD_NOT_ALLOWED");
                    w.check(
                        &req::PRECEDENCE_METHOD_BEFORE_TOKEN,
                        answer.status == 405,
                        405,
                        answer.status,
                    );
                }
                let allow = answer.header("allow");
                // HEAD and OPTIONS are everywhere and need not be named.
                let named: BTreeSet<&str> = (allow.split(',').map(str::trim))
                    .filter(|name| !name.is_empty() && !["HEAD", "OPTIONS"].contains(name))
                    .collect();
                w.check(
                    &req::PRECEDENCE_METHOD_ALLOW_HEADER,
                    named == methods,
                    format!("{methods:?} for {path}"),
                    allow,
                );
            }
        }
    }
    Ok(())
}

async fn every_path_that_is_almost_one_is_none(w: World) -> Outcome {
    for (path, methods) in paths() {
        let method = methods.iter().next().copied().unwrap_or("GET");
        for other in [format!("{path}/"), format!("{path}//"), format!("{path}/no/such/path")] {
            let requirement = if other.ends_with('/') {
                &req::PRECEDENCE_PATH_TRAILING_SLASH
            } else {
                &req::PRECEDENCE_PATH_NOT_FOUND
            };
            w.refused(requirement, &w.request(method, &other).send().await?, 404, "NOT_FOUND");
            let foreign = w.request("PATCH", &other).token("garbage").send().await?;
            w.refused(&req::PRECEDENCE_PATH_BEFORE_METHOD, &foreign, 404, "NOT_FOUND");
        }
    }
    Ok(())
}

async fn every_path_answers_a_preflight(w: World) -> Outcome {
    for (path, methods) in paths() {
        for method in methods {
            let from = |origin: &str| w.cors_preflight(&path, method, origin).send();
            // Whom a server allows is its own affair, and so is how it refuses the others.
            let answer = from(FOREIGN).await?;
            w.check(
                &req::HTTP_OPTIONS_CORS,
                answer.status < 500
                    && !(300..400).contains(&answer.status)
                    && ![401, 404, 405].contains(&answer.status),
                format!("OPTIONS {path}: an answer without a token"),
                answer.status,
            );
            w.check(
                &req::HTTP_CORS_NO_WILDCARD_CREDENTIALS,
                !answer.lets_in(FOREIGN),
                "no credentials for every origin",
                answer.header("access-control-allow-origin"),
            );
            let Some(known) = w.target.allowed_origin() else {
                continue;
            };
            let answer = from(known).await?;
            let allowed = answer.header("access-control-allow-methods");
            let origin = answer.header("access-control-allow-origin");
            w.check(
                &req::HTTP_OPTIONS_CORS,
                answer.status < 300
                    && (allowed.contains(method) || allowed == "*")
                    && (origin == known || origin == "*"),
                format!("{method} {path} allowed to {known}"),
                format!("{}, methods {allowed:?}, origin {origin:?}", answer.status),
            );
        }
    }
    Ok(())
}

async fn every_head_is_as_its_get(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let good_token = Some(f.ann.access.as_str());
    let calls = Operation::ALL.iter().copied();
    for operation in calls.filter(|operation| operation.method() == "GET") {
        let good = f.path(operation);
        let mark = if good.contains('?') { '&' } else { '?' };
        // What reads no limit has nothing against this one.
        let bad = format!("{good}{mark}limit=0");
        for (path, token) in [
            (good.as_str(), good_token),
            (bad.as_str(), good_token),
            (path_to(operation, UNKNOWN).as_str(), good_token),
            (good.as_str(), None),
            (good.as_str(), Some("garbage")),
        ] {
            let ask = |method: &str| {
                let request = f.ann.anonymous(method, path);
                match token {
                    Some(token) => request.token(token),
                    None => request,
                }
            };
            let (get, head) = (ask("GET").send().await?, ask("HEAD").send().await?);
            // Otherwise a server that refuses everything would do.
            if path == good && token == good_token {
                w.success(&req::HTTP_HEAD_AS_GET, &get, 200, None)?;
            }
            let what = format!("HEAD {path}");
            w.check(
                &req::HTTP_HEAD_AS_GET,
                head.status == get.status && head.text.is_empty(),
                format!("{what}: {} without a body", get.status),
                format!("{} {}", head.status, head.text),
            );
            for name in LASTING {
                w.equal(
                    &req::HTTP_HEAD_AS_GET,
                    &format!("{name} of {what}"),
                    get.header(name),
                    head.header(name),
                );
            }
        }
    }
    Ok(())
}
