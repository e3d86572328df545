//! From when on a connection is told what concerns its user.

use chat_client::realtime::Connection;
use chat_client::testing::Server;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::rubbish::connected;
use crate::{PATIENCE, next};

#[tokio::test]
async fn a_connection_is_open_when_the_server_knows_whose_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, has_arrived) = oneshot::channel();
    let (know, known) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut socket = connected(&listener).await;
        socket.send(Message::text("2")).await.unwrap();
        // The answer to the ping: the client has read all that came before.
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("3"));
        arrived.send(()).unwrap();
        known.await.unwrap();
        socket.send(Message::text(r#"42["authenticated",{}]"#)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    let opening = Connection::to(format!("http://{address}")).token("a token".to_owned());
    let mut opening = tokio::spawn(opening.into_future());
    has_arrived.await.unwrap();
    assert!(
        futures_util::poll!(&mut opening).is_pending(),
        "a socket that is nobody's yet is told nothing"
    );
    know.send(()).unwrap();
    let (_connection, mut events) = timeout(PATIENCE, opening).await.unwrap().unwrap().unwrap();
    let first = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    let chat_client::realtime::Incoming::Event(first) = first else {
        panic!("{first:?}")
    };
    assert_eq!(first.name(), "authenticated", "nothing is swallowed");
}

#[tokio::test]
async fn what_is_sent_in_the_moment_of_coming_online_arrives() {
    let server = Server::start().await.unwrap();
    let ann = server.client("ann").await.unwrap();
    ann.online().await.unwrap();
    for number in 0..20 {
        let bob = server.client(&format!("bob{number}")).await.unwrap();
        let mut messages = bob.messages();
        bob.online().await.unwrap();
        ann.send(bob.user_id(), "there you are").await.unwrap();
        assert_eq!(next(&mut messages).await.content, "there you are");
        bob.shutdown().await;
    }
}
