//! `chat-server healthcheck`, as an orchestrator runs it beside the server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::program::Place;

#[tokio::test]
async fn it_tells_a_ready_server_from_one_that_is_gone() {
    // Production, and no secrets: in a container's exec they may be missing, and it does not need them.
    let place = Place::new().and("NODE_ENV", "test");
    let server = place.serve().await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let check = ["healthcheck", "--node-env", "production", "--port", &port];
    assert_eq!(place.said(&check).await, "ready\n");
    server.stops().await;
    let said = place.fails(&check, 1).await;
    assert!(said.contains(&format!("127.0.0.1:{port}/ready")), "{said}");
}

#[tokio::test]
async fn every_answer_but_200_is_a_failure() {
    for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "200", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let place = Place::new().and("HOST", "0.0.0.0").and("PORT", &port);
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 512];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        let (asked, said) = tokio::join!(answers, place.fails(&["healthcheck"], 1));
        assert!(asked.starts_with("GET /ready HTTP/1.1\r\n"), "{asked}");
        assert!(said.contains("says"), "{said}");
    }
}

#[tokio::test]
async fn a_port_that_nobody_knows_is_bad_usage() {
    let said = Place::new().fails(&["healthcheck", "--port", "0"], 2).await;
    assert!(said.contains("PORT is 0"), "{said}");
}
