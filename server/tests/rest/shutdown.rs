//! The orderly end.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::Client;
use crate::program::{Place, Running};

/// A request whose body is still to come, and of which it is certain that the server waits for that body.
async fn begin_to_send(server: &Running, token: &str, body: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/messages/send HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It is said when the handler reads the body, not earlier.
    let mut go_on = [0; 512];
    let length = stream.read(&mut go_on).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&go_on[..length]),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream
}

/// An address that a server can listen on and nobody else is given for as long as the socket, which does not listen, is kept:
/// so Linux does it.
fn free_address() -> (String, TcpSocket) {
    let holder = TcpSocket::new_v4().unwrap();
    holder.set_reuseaddr(true).unwrap();
    holder.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (holder.local_addr().unwrap().to_string(), holder)
}

#[tokio::test]
async fn running_requests_finish_and_readiness_says_draining() {
    let (address, _holder) = free_address();
    let place = Place::new().and("METRICS_ADDR", &address);
    let server = place.serve().await;
    let watch = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || {
        let response = watch.get(format!("http://{address}/ready")).send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            response.json::<serde_json::Value>().await.unwrap()["status"].clone(),
        )
    };
    assert_eq!(ready().await, (200, json!("ready")));
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let device = bob.device().await;
    let body = json!({"to": bob.id, "content": "the last word"}).to_string();
    let mut stream = begin_to_send(&server, ann.token(), &body).await;

    server.signal("TERM").await;
    while ready().await.0 == 200 {}
    assert_eq!(ready().await, (503, json!("draining")));
    // The listener closes when its task next runs; until then a connection may still be taken.
    let api = server.url.strip_prefix("http://").unwrap().to_owned();
    while TcpStream::connect(&api).await.is_ok() {}

    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    device.lost().await;
    let ended = server.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("draining") && ended.stderr.contains("stopped"));

    let server = place.serve().await;
    let bob = Client::new(&server.url).with_token(bob.token());
    let page = bob.get(&format!("/api/messages/conversation/{}", ann.id)).await.ok(200);
    assert_eq!(page["items"][0]["content"], "the last word");
    server.stops().await;
}

#[tokio::test]
async fn an_interrupt_ends_it_as_well() {
    let server = Place::new().serve().await;
    server.person("ann").await;
    server.signal("INT").await;
    assert_eq!(server.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (address, _holder) = free_address();
    let server = Place::new().and("METRICS_ADDR", &address).serve().await;
    let ann = server.person("ann").await;
    let _stream = begin_to_send(&server, ann.token(), "a body that never comes").await;
    server.signal("TERM").await;
    let ready = format!("http://{address}/ready");
    let watch = reqwest::Client::builder().no_proxy().build().unwrap();
    while watch.get(&ready).send().await.unwrap().status() == 200 {}
    server.signal("TERM").await;
    assert_eq!(server.ended().await.code, Some(1));
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let place = Place::new();
    let server = place.serve().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(ann.sends(&bob, &number.to_string()).await);
    }
    server.signal("KILL").await;
    assert_eq!(server.ended().await.code, None);

    let server = place.serve().await;
    let bob = Client::new(&server.url).with_token(bob.token());
    let page = bob
        .get(&format!("/api/messages/conversation/{}?after=0", ann.id))
        .await
        .ok(200);
    assert_eq!(page["items"], json!(sent));
    server.stops().await;
}
