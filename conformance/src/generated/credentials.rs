//! Every call with every kind of token that is not good enough, and with one that is.

use std::time::Duration;

use chat_spec::{Operation, Requirement, req};
use serde_json::json;

use super::fixture::{Fixture, gentle_first, needs_token, success_of};
use crate::cases;
use crate::cases::tokens::{TOKEN_SLACK, launch_brief, with_brief_tokens};
use crate::engine::{Connection, Outcome, PASSWORD, Stop, Transport, World};

cases!("credentials":
    every_call_refuses_every_bad_token [
        PASSWORD_CHANGE_OLDER_TOKENS, PASSWORD_CHANGE_OTHER_SESSIONS, PRECEDENCE_TOKEN_BEFORE_FIELDS,
        TOKEN_ENDED_SESSION_INVALID, TOKEN_INVALID_GARBAGE, TOKEN_INVALID_TAMPERED, TOKEN_KINDS_REFRESH_AS_ACCESS,
        TOKEN_MISSING_NO_HEADER, TOKEN_MISSING_OTHER_SCHEME, TOKEN_URL_NEVER,
    ],
    every_call_refuses_an_old_token [SOCKET_AUTHENTICATE_BAD_TOKEN, TOKEN_EXPIRED_CODE],
    every_call_takes_the_token_of_any_session [LOGIN_SESSIONS_MANY],
);

struct Credential {
    requirement: &'static Requirement,
    /// Of the header; none sends none.
    header: Option<String>,
    code: &'static str,
}

fn calls() -> impl Iterator<Item = Operation> {
    gentle_first().filter(|operation| needs_token(*operation))
}

/// A token with one character in its middle changed: at its end, some bits may mean nothing.
fn tampered(token: &str) -> String {
    let middle = token.len() * 3 / 4;
    let other = if token.as_bytes().get(middle) == Some(&b'A') {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &token[..middle], &token[middle + 1..])
}

async fn credentials(f: &Fixture) -> Result<Vec<Credential>, Stop> {
    let (gone, changed) = (f.ann.login().await?, f.ann.login().await?);
    gone.request("POST", "/api/auth/logout").send().await?.succeeded()?;
    let body = json!({"currentPassword": PASSWORD, "newPassword": PASSWORD, "confirmPassword": PASSWORD});
    // Ends the fixture's own session too, so that it is the one that goes on.
    let renewed = f.ann.put("/api/auth/change-password", &body).await?;
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let credential = |requirement, header, code| Credential {
        requirement,
        header,
        code,
    };
    Ok(vec![
        credential(&req::TOKEN_MISSING_NO_HEADER, None, "TOKEN_MISSING"),
        credential(
            &req::TOKEN_MISSING_OTHER_SCHEME,
            Some("Basic YW5uOmFubg==".into()),
            "TOKEN_MISSING",
        ),
        credential(
            &req::TOKEN_MISSING_OTHER_SCHEME,
            Some(format!("Token {}", f.ann.access)),
            "TOKEN_MISSING",
        ),
        credential(&req::TOKEN_MISSING_OTHER_SCHEME, bearer(""), "TOKEN_MISSING"),
        credential(&req::TOKEN_MISSING_OTHER_SCHEME, Some("Bearer".into()), "TOKEN_MISSING"),
        credential(&req::TOKEN_INVALID_GARBAGE, bearer("garbage"), "TOKEN_INVALID"),
        credential(&req::TOKEN_INVALID_GARBAGE, bearer("e30.e30.e30"), "TOKEN_INVALID"),
        credential(&req::TOKEN_INVALID_GARBAGE, bearer("null"), "TOKEN_INVALID"),
        credential(
            &req::TOKEN_INVALID_TAMPERED,
            bearer(&tampered(&f.bob.access)),
            "TOKEN_INVALID",
        ),
        credential(
            &req::TOKEN_KINDS_REFRESH_AS_ACCESS,
            bearer(renewed.text_at("/tokens/refreshToken")),
            "TOKEN_INVALID",
        ),
        credential(&req::TOKEN_ENDED_SESSION_INVALID, bearer(&gone.access), "TOKEN_INVALID"),
        credential(
            &req::TOKEN_ENDED_SESSION_INVALID,
            bearer(&gone.refresh),
            "TOKEN_INVALID",
        ),
        credential(
            &req::TOKEN_ENDED_SESSION_INVALID,
            bearer(&changed.access),
            "TOKEN_INVALID",
        ),
        credential(
            &req::PASSWORD_CHANGE_OLDER_TOKENS,
            bearer(&f.ann.access),
            "TOKEN_INVALID",
        ),
    ])
}

async fn every_call_refuses_every_bad_token(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let judge = f.ann.login().await?;
    let credentials = credentials(&f).await?;
    // Logged out by the change of the password as well.
    let witness = f.bob.conversation(&f.ann, "").await?;
    w.refused(
        &req::PASSWORD_CHANGE_OTHER_SESSIONS,
        &judge.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    for operation in calls() {
        for credential in &credentials {
            let mut request = f.anonymous(operation);
            if let Some(header) = &credential.header {
                request = request.header("authorization", header);
            }
            w.refused(credential.requirement, &request.send().await?, 401, credential.code);
        }
        let path = f.path(operation);
        let separator = if path.contains('?') { '&' } else { '?' };
        for name in ["access_token", "token", "auth"] {
            let address = format!("{path}{separator}{name}={}", f.bob.access);
            let answer = w.request(operation.method(), &address).send().await?;
            w.refused(&req::TOKEN_URL_NEVER, &answer, 401, "TOKEN_MISSING");
        }
    }
    let now = f.bob.conversation(&f.ann, "").await?;
    w.equal(&req::PRECEDENCE_TOKEN_BEFORE_FIELDS, "history", witness.body, now.body);
    Ok(())
}

async fn every_call_refuses_an_old_token(w: World) -> Outcome {
    with_brief_tokens(|life| old_tokens(w.clone(), life)).await
}

async fn old_tokens(w: World, life: Duration) -> Outcome {
    let server = launch_brief(&w, &[("--jwt-expires-in", &format!("{}s", life.as_secs()))], life).await?;
    let f = Fixture::at(&w, &server.base).await?;
    // Time itself is what is judged here.
    tokio::time::sleep(life + TOKEN_SLACK).await;
    for operation in calls() {
        let answer = f.anonymous(operation).token(&f.ann.access).send().await?;
        w.refused(&req::TOKEN_EXPIRED_CODE, &answer, 401, "TOKEN_EXPIRED");
    }
    // As it is refused in the handshake, so it is by event, and the socket may try again.
    if let Connection::Open(guest) = f.ann.connect(Transport::Websocket, None).await? {
        let old = json!({"token": f.ann.access});
        let ack = guest.ask("authenticate", old.clone()).await?;
        w.refused_ack(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, &ack, "TOKEN_EXPIRED");
        guest.emit("authenticate", old);
        w.arrives(&req::SOCKET_AUTHENTICATE_BAD_TOKEN, &guest, "error", |error| {
            error["code"] == "TOKEN_EXPIRED"
        })
        .await?;
    }
    let fresh = f.bob.login().await?;
    let history = fresh.conversation(&f.ann, "").await?;
    history.succeeded()?;
    w.equal(&req::TOKEN_EXPIRED_CODE, "messages", 2, history.items()?.len());
    Ok(())
}

async fn every_call_takes_the_token_of_any_session(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let other = f.ann.login().await?;
    for operation in calls() {
        let answer = f.anonymous(operation).token(&other.access).send().await?;
        w.success(&req::LOGIN_SESSIONS_MANY, &answer, success_of(operation), None)?;
        if operation == Operation::ChangePassword {
            break;
        }
    }
    Ok(())
}
