//! Sessions that stay alive, and those that end.

use std::time::Duration;

use chat_client::testing::{PASSWORD, Server};
use chat_client::{Client, ConnectionState, ErrorKind, Event, FileTokens, StoredTokens, TokenStore as _};
use tokio::time::{self, timeout};

use crate::front::Front;
use crate::{PATIENCE, contents, numbers};

#[tokio::test]
async fn a_socket_lives_on_with_fresh_tokens() {
    let server = Server::builder()
        .access_tokens_live(Duration::from_secs(2))
        .await
        .unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let (mut messages, mut events) = (bob.messages(), bob.events());
    ann.online().await.unwrap();
    bob.online().await.unwrap();
    // Longer than two tokens live, by the pace of what is sent.
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    for number in 0..10 {
        pace.tick().await;
        ann.send(bob.user_id(), number.to_string()).await.unwrap();
    }
    assert_eq!(contents(&mut messages, 10).await, numbers(0..10));
    timeout(PATIENCE, bob.shutdown()).await.unwrap();
    while let Some(event) = events.next().await {
        assert_ne!(
            event,
            Event::Connection(ConnectionState::Waiting),
            "the socket was lost"
        );
    }
}

#[tokio::test]
async fn many_requests_with_an_old_token_refresh_it_once() {
    let server = Server::start().await.unwrap();
    let direct = server.direct_url().await.unwrap();
    let front = Front::plain(direct.trim_start_matches("http://").parse().unwrap()).await;
    let ann = Client::builder(format!("http://{}", front.address))
        .without_realtime()
        .keep_password(false)
        .register("ann", "ann@example.org", PASSWORD)
        .await
        .unwrap();
    front.take_requests();
    // By the clock of the client alone: the new token is not old as well when the machine is slow.
    time::pause();
    time::advance(Duration::from_secs(900)).await;
    time::resume();
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.profile().await })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let requests = front.take_requests();
    let refresh = "POST /api/auth/refresh-token";
    let refreshed = requests.iter().filter(|request| *request == refresh).count();
    // And all waited for it.
    assert_eq!((requests[0].as_str(), refreshed), (refresh, 1), "{requests:#?}");
}

#[tokio::test]
async fn a_session_is_resumed_from_its_file() {
    let server = Server::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.json");
    let builder = || Client::builder(server.url()).token_store(FileTokens::new(&path));
    assert_eq!(builder().resume().await.unwrap_err().kind(), ErrorKind::SessionEnded);
    let ann = builder().register("ann", "ann@example.org", PASSWORD).await.unwrap();
    timeout(PATIENCE, ann.shutdown()).await.unwrap();

    let resumed = builder().resume().await.unwrap();
    assert_eq!(resumed.user_id(), ann.user_id());
    resumed.profile().await.unwrap();
    resumed.logout().await.unwrap();
    assert_eq!(builder().resume().await.unwrap_err().kind(), ErrorKind::SessionEnded);
}

#[tokio::test]
async fn a_lost_session_is_opened_anew_with_the_password_and_else_ends() {
    let server = Server::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.json");
    for keep in [true, false] {
        let name = if keep { "ann" } else { "bob" };
        let store = FileTokens::new(&path);
        let client = server.client_with(name, |builder| {
            builder.token_store(FileTokens::new(&path)).keep_password(keep)
        });
        let client = client.await.unwrap();
        client.online().await.unwrap();
        // Another program spends the refresh token, and the client a spent one: the server ends the session.
        let old: StoredTokens = store.load().await.unwrap().unwrap();
        let mut events = client.events();
        let spend = || async {
            let body = serde_json::json!({"refreshToken": secrecy::ExposeSecret::expose_secret(&old.refresh)});
            let url = format!("{}/api/auth/refresh-token", server.url());
            reqwest::Client::new()
                .post(url)
                .json(&body)
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        };
        assert_eq!(spend().await, 200);
        assert_eq!(spend().await, 401);
        if keep {
            client.profile().await.unwrap();
            timeout(PATIENCE, client.online()).await.unwrap().unwrap();
        } else {
            assert_eq!(client.profile().await.unwrap_err().kind(), ErrorKind::SessionEnded);
            loop {
                let event = timeout(PATIENCE, events.next()).await.unwrap();
                if event == Some(Event::Connection(ConnectionState::SessionEnded)) {
                    break;
                }
            }
            assert_eq!(client.online().await.unwrap_err().kind(), ErrorKind::SessionEnded);
            let failed = client.send(client.user_id(), "hello").await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::SessionEnded);
            assert!(store.load().await.unwrap().is_none());
        }
    }
}
