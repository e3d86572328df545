use std::future::ready;
use std::pin::pin;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::MemoryTokens;

/// How long what must happen may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose answers are given by its test.
struct Server(TcpListener);

impl Server {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// The next request, which has this path.
    async fn asked(&self, path: &str) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            let request = std::str::from_utf8(&request).unwrap();
            let Some((head, body)) = request.split_once("\r\n\r\n") else {
                continue;
            };
            // The end of a body is that of its JSON.
            let has_body = head.contains("content-type");
            if !has_body || body.ends_with('}') {
                let first = head.lines().next().unwrap();
                assert!(first.contains(path), "{first}");
                return stream;
            }
        }
    }

    async fn agrees(&self, path: &str) {
        let stream = self.asked(path).await;
        answer(stream, 200, &json!({})).await;
    }

    async fn grants(&self, path: &str, number: u32) {
        let stream = self.asked(path).await;
        answer(stream, 200, &json!({ "tokens": tokens(number) })).await;
    }

    async fn refuses(&self, path: &str, status: u16, code: &str) {
        let stream = self.asked(path).await;
        answer(stream, status, &json!({ "message": "No.", "code": code })).await;
    }

    /// The session of Ann, who tries everything once; and where her tokens are kept.
    async fn keeper(&self) -> (Arc<Keeper>, Arc<MemoryTokens>) {
        let address = format!("http://{}", self.0.local_addr().unwrap());
        let http = Http::new(reqwest::Client::new(), &address, PATIENCE).unwrap();
        let once = Backoff {
            budget: Some(Duration::ZERO),
            ..Backoff::REQUESTS
        };
        let (first, store) = (stored(tokens(1)), Arc::new(MemoryTokens::default()));
        store.save(&first).await.unwrap();
        let credentials = Credentials {
            identifier: "ann".into(),
            password: "old".into(),
        };
        let keeper = Keeper::new(http, store.clone(), once, first, Some(credentials));
        (keeper, store)
    }
}

async fn answer(mut stream: TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn tokens(number: u32) -> Tokens {
    Tokens {
        access_token: format!("access-{number}"),
        refresh_token: format!("refresh-{number}"),
        token_type: "Bearer".into(),
        expires_in: 900,
    }
}

async fn change_password(keeper: Arc<Keeper>) -> Result<()> {
    let call = Call::new(Method::PUT, "api/auth/change-password", Repeat::Never).body(&json!({}))?;
    keeper.change_password(call, "new".into()).await
}

/// What comes of a renewal when the session is lost, and the login is refused like this.
async fn lost(keeper: &Arc<Keeper>, server: &Server, status: u16, code: &str) -> Error {
    let refusals = async {
        server.refuses("api/auth/refresh-token", 401, "TOKEN_INVALID").await;
        server.refuses("api/auth/login", status, code).await;
    };
    let both = async { tokio::join!(keeper.renew(0), refusals) };
    let (renewed, ()) = timeout(PATIENCE, both).await.unwrap();
    renewed.err().unwrap()
}

#[tokio::test]
async fn only_an_answer_about_the_credentials_ends_the_session() {
    let server = Server::start().await;
    let (keeper, store) = server.keeper().await;
    for (status, code) in [
        (429, "RATE_LIMITED"),
        (500, "INTERNAL_ERROR"),
        (503, "SERVICE_UNAVAILABLE"),
        (404, "NOT_FOUND"),
    ] {
        let error = lost(&keeper, &server, status, code).await;
        assert_eq!(error.code().map(ErrorCode::as_str), Some(code));
        assert!(keeper.held().is_ok(), "{code}");
        assert!(store.load().await.unwrap().is_some(), "{code}");
    }
    let error = lost(&keeper, &server, 401, "INVALID_CREDENTIALS").await;
    assert_eq!(error.kind(), ErrorKind::SessionEnded);
    assert!(keeper.held().is_err());
    assert!(store.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewal_waits_for_a_change_of_the_password() {
    let server = Server::start().await;
    let (keeper, _store) = server.keeper().await;
    let changing = tokio::spawn(change_password(keeper.clone()));
    let asked = timeout(PATIENCE, server.asked("api/auth/change-password"))
        .await
        .unwrap();
    // It begins while only the server knows that the old tokens no longer hold.
    let mut renewing = pin!(keeper.renew_in_turn(0, Instant::now()));
    tokio::select! {
        biased;
        _ = &mut renewing => panic!("it did not wait"),
        () = ready(()) => {}
    }
    answer(asked, 200, &json!({ "tokens": tokens(2) })).await;
    let renewed = timeout(PATIENCE, renewing).await.unwrap().unwrap();
    assert_eq!(renewed.access.expose_secret(), "access-2");
    changing.await.unwrap().unwrap();
    let credentials = keeper.turn.lock().await;
    assert_eq!(credentials.as_ref().unwrap().password.expose_secret(), "new");
}

#[tokio::test]
async fn a_change_of_the_password_renews_a_token_that_no_longer_holds() {
    let server = Server::start().await;
    let (keeper, _store) = server.keeper().await;
    let answers = async {
        server.refuses("api/auth/change-password", 401, "TOKEN_EXPIRED").await;
        server.grants("api/auth/refresh-token", 2).await;
        server.grants("api/auth/change-password", 3).await;
    };
    let both = async { tokio::join!(change_password(keeper.clone()), answers) };
    let (changed, ()) = timeout(PATIENCE, both).await.unwrap();
    changed.unwrap();
    assert_eq!(keeper.held().unwrap().access.expose_secret(), "access-3");
}

#[tokio::test]
async fn a_renewal_that_fails_fails_for_all_who_asked_meanwhile() {
    let server = Server::start().await;
    let (keeper, _store) = server.keeper().await;
    let first = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.renew(0).await.err() }
    });
    let asked = timeout(PATIENCE, server.asked("api/auth/refresh-token")).await.unwrap();
    let mut others: Vec<_> = (0..20).map(|_| Box::pin(keeper.renew(0))).collect();
    for other in &mut others {
        // It is under way, and waits.
        tokio::select! {
            biased;
            _ = other.as_mut() => panic!("it did not wait"),
            () = ready(()) => {}
        }
    }
    answer(asked, 503, &json!({ "message": "No.", "code": "SERVICE_UNAVAILABLE" })).await;
    let unavailable = |error: Option<Error>| assert!(error.unwrap().is(&ErrorCode::ServiceUnavailable));
    unavailable(timeout(PATIENCE, first).await.unwrap().unwrap());
    for other in others {
        // Nobody answers a second request.
        unavailable(timeout(PATIENCE, other).await.unwrap().err());
    }
    // Whoever asks later tries again.
    let both = async { tokio::join!(keeper.renew(0), server.grants("api/auth/refresh-token", 2)) };
    let (renewed, ()) = timeout(PATIENCE, both).await.unwrap();
    assert_eq!(renewed.unwrap().access.expose_secret(), "access-2");
}

#[tokio::test]
async fn a_renewal_is_not_tried_before_the_server_wants_it() {
    let server = Server::start().await;
    let (keeper, _store) = server.keeper().await;
    let refusal = async {
        let stream = server.asked("api/auth/refresh-token").await;
        answer(
            stream,
            429,
            &json!({ "message": "No.", "code": "RATE_LIMITED", "retryAfter": 600 }),
        )
        .await;
    };
    let both = async { tokio::join!(keeper.renew(0), refusal) };
    timeout(PATIENCE, both).await.unwrap().0.err().unwrap();
    // Nobody would answer.
    let again = timeout(PATIENCE, keeper.renew(0)).await.unwrap().err().unwrap();
    assert!(again.retry_after().unwrap() > Duration::from_secs(500), "{again:?}");
    assert!(keeper.renews_again_at().unwrap() > Instant::now() + Duration::from_secs(500));
}

#[tokio::test]
async fn a_change_of_the_password_goes_on_when_nobody_waits_for_it() {
    let server = Server::start().await;
    let (keeper, store) = server.keeper().await;
    let asked = {
        let mut changing = pin!(change_password(keeper.clone()));
        let asked = async {
            tokio::select! {
                _ = &mut changing => panic!("it was not answered"),
                asked = server.asked("api/auth/change-password") => asked,
            }
        };
        timeout(PATIENCE, asked).await.unwrap()
    };
    answer(asked, 200, &json!({ "tokens": tokens(2) })).await;
    let credentials = timeout(PATIENCE, keeper.turn.lock()).await.unwrap();
    assert_eq!(keeper.held().unwrap().access.expose_secret(), "access-2");
    assert_eq!(credentials.as_ref().unwrap().password.expose_secret(), "new");
    assert_eq!(store.load().await.unwrap().unwrap().access.expose_secret(), "access-2");
}

#[tokio::test]
async fn a_logout_with_a_token_that_has_expired_ends_the_session_all_the_same() {
    let server = Server::start().await;
    let (keeper, store) = server.keeper().await;
    let answers = async {
        server.refuses("api/auth/logout", 401, "TOKEN_EXPIRED").await;
        server.grants("api/auth/refresh-token", 2).await;
        server.agrees("api/auth/logout").await;
    };
    let both = async { tokio::join!(keeper.log_out(), answers) };
    timeout(PATIENCE, both).await.unwrap().0.unwrap();
    assert!(keeper.held().is_err());
    assert!(store.load().await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_that_is_under_way_undoes_a_logout() {
    let server = Server::start().await;
    let (keeper, store) = server.keeper().await;
    let renewing = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.renew(0).await.err() }
    });
    let refresh = timeout(PATIENCE, server.asked("api/auth/refresh-token")).await.unwrap();
    // It waits for no renewal.
    let both = async { tokio::join!(keeper.log_out(), server.agrees("api/auth/logout")) };
    timeout(PATIENCE, both).await.unwrap().0.unwrap();
    answer(refresh, 200, &json!({ "tokens": tokens(2) })).await;
    let renewed = timeout(PATIENCE, renewing).await.unwrap().unwrap();
    assert_eq!(renewed.unwrap().kind(), ErrorKind::SessionEnded);
    assert!(keeper.held().is_err());
    assert!(store.load().await.unwrap().is_none());
}
