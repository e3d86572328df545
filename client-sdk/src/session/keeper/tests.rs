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

    /// The next request, which has this path and a body.
    async fn asked(&self, path: &str) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut request = Vec::new();
        // Its end is that of the JSON.
        while request.last() != Some(&b'}') {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        let request = String::from_utf8(request).unwrap();
        let first = request.lines().next().unwrap();
        assert!(first.contains(path), "{first}");
        stream
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
    keeper.change_password(&call, "new".into()).await
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
    let mut renewing = pin!(keeper.renew_in_turn(0));
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
