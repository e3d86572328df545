//! `https` and `wss`, with certificates of an authority of one's own.

use chat_client::realtime::{Connection, Tls};
use chat_client::testing::{PASSWORD, Server};
use chat_client::{Backoff, Client, ConnectionState, ErrorKind, Event};
use tokio::time::timeout;

use crate::certified::certified;
use crate::front::Front;
use crate::{PATIENCE, contents, until};

async fn encrypted() -> (Server, Front, String) {
    let server = Server::start().await.unwrap();
    let direct = server.direct_url().await.unwrap();
    let (authority, tls) = certified();
    let address = direct.trim_start_matches("http://").parse().unwrap();
    let front = Front::encrypted(address, tls).await;
    (server, front, authority)
}

#[tokio::test]
async fn whoever_trusts_the_authority_talks_by_https_and_wss() {
    let (server, front, authority) = encrypted().await;
    let url = format!("https://{}", front.address);
    let bob = server.client("bob").await.unwrap();
    let mut messages = bob.messages();
    let ann = Client::builder(&url).add_root_certificate(&authority);
    let ann = ann.register("ann", "ann@example.org", PASSWORD).await.unwrap();
    timeout(PATIENCE, ann.online()).await.unwrap().unwrap();
    ann.send(bob.user_id(), "by wss").await.unwrap();
    ann.send_by_rest(bob.user_id(), "by https").await.unwrap();
    assert_eq!(contents(&mut messages, 2).await, ["by wss", "by https"]);
    let requests = front.take_requests();
    for request in [
        "POST /api/auth/register",
        "GET /socket.io/?EIO=4&transport=websocket",
        "POST /api/messages/send",
    ] {
        assert!(requests.iter().any(|seen| seen == request), "{request}: {requests:?}");
    }
    // It comes back by the same way.
    let mut events = ann.events();
    front.close();
    front.open();
    for state in [ConnectionState::Waiting, ConnectionState::Online] {
        until(&mut events, &Event::Connection(state)).await;
    }
    ann.send(bob.user_id(), "again").await.unwrap();
    assert_eq!(contents(&mut messages, 1).await, ["again"]);
}

#[tokio::test]
async fn whoever_does_not_trust_it_says_nothing() {
    let (_server, front, _) = encrypted().await;
    let url = format!("https://{}", front.address);
    let once = Backoff {
        budget: Some(std::time::Duration::ZERO),
        ..Backoff::REQUESTS
    };
    let stranger = Client::builder(&url).requests(once).login("ann", PASSWORD).await;
    assert_eq!(stranger.unwrap_err().kind(), ErrorKind::Network);
    let (another, _) = certified();
    let another = Client::builder(&url).requests(once).add_root_certificate(another);
    assert_eq!(
        another.login("ann", PASSWORD).await.unwrap_err().kind(),
        ErrorKind::Network
    );
    let connection = Connection::to(&url).tls(Tls::new().unwrap()).token("a.token").await;
    assert_eq!(connection.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(front.take_requests(), [""; 0]);
}

#[tokio::test]
async fn many_share_what_they_trust() {
    let (_server, front, authority) = encrypted().await;
    let url = format!("https://{}", front.address);
    let tls = Tls::with_root_certificates(&authority).unwrap();
    let mut clients = Vec::new();
    for name in ["ann", "bob"] {
        let builder = Client::builder(&url).tls(tls.clone());
        let client = builder.register(name, format!("{name}@example.org"), PASSWORD).await;
        clients.push(client.unwrap());
    }
    let mut messages = clients[1].messages();
    clients[0].send(clients[1].user_id(), "hello").await.unwrap();
    assert_eq!(contents(&mut messages, 1).await, ["hello"]);
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_at_once() {
    for wrong in [
        "",
        "a text",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(
            Tls::with_root_certificates(wrong).unwrap_err().kind(),
            ErrorKind::Config,
            "{wrong}"
        );
        let builder = Client::builder("https://localhost").add_root_certificate(wrong);
        assert_eq!(
            builder.login("ann", PASSWORD).await.unwrap_err().kind(),
            ErrorKind::Config
        );
    }
    let (authority, _) = certified();
    let both = Client::builder("https://localhost").tls(Tls::new().unwrap());
    let both = both.add_root_certificate(authority).login("ann", PASSWORD).await;
    assert_eq!(both.unwrap_err().kind(), ErrorKind::Config);
}
