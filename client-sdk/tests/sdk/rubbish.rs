//! A server that sends what makes no sense.

use std::time::Duration;

use chat_client::ErrorKind;
use chat_client::protocol::{MessageType, Status};
use chat_client::realtime::{Connection, Event, Incoming};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::PATIENCE;

const ID: &str = "65f1a0c2e4b0a1b2c3d4e5f6";

/// The next client, once this server has taken its CONNECT.
pub(crate) async fn connected(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let open = r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#;
    socket.send(Message::text(open)).await.unwrap();
    socket.next().await;
    socket.send(Message::text(r#"40{"sid":"b"}"#)).await.unwrap();
    socket
}

/// A server that says these things after a good handshake, then one good event, and reads on.
async fn server(packets: Vec<Message>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                continue;
            };
            let open = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"new":[]}"#;
            socket.send(Message::text(open)).await.unwrap();
            socket.next().await;
            socket.send(Message::text(r#"40{"sid":"b","pid":1}"#)).await.unwrap();
            for packet in &packets {
                socket.send(packet.clone()).await.unwrap();
            }
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn nothing_that_a_server_says_ends_a_connection() {
    let mut rubbish: Vec<String> = [
        "",
        "4",
        "5",
        "6",
        "7x",
        "é",
        "42",
        "42[",
        "42[]",
        "42{}",
        "42[null]",
        "42[1,2]",
        "42[\"new_message\"",
        "43",
        "43[]",
        "43999[{\"ok\":true}]",
        "4318446744073709551616[]",
        "430",
        "44",
        "44{\"message\":1}",
        "45-[\"a\"]",
        "451-[\"b\",{}]",
        "40",
        "40{}",
        "41/other,",
        "42/other,[\"a\"]",
        "0",
        "0{}",
        "2probe",
        "3",
        "3probe",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in [
        "new_message",
        "user_online",
        "typing_status",
        "error",
        "message_edited",
        "tomorrow",
    ] {
        for payload in [
            "",
            ",null",
            ",[]",
            ",1",
            ",{}",
            ",{\"message\":{}}",
            ",\"\"",
            ",{\"userId\":\"/\"}",
        ] {
            rubbish.push(format!("42[\"{name}\"{payload}]"));
        }
    }
    rubbish.push(format!("42[\"{}\"]", "x".repeat(100_000)));
    rubbish.push(format!("42[\"a\",{}1{}]", "[".repeat(10_000), "]".repeat(10_000)));
    let mut packets: Vec<_> = rubbish.into_iter().map(Message::text).collect();
    packets.push(Message::binary(vec![0, 159, 146, 150]));
    packets.push(Message::Ping(vec![1].into()));
    let good =
        format!(r#"42["user_online",{{"userId":"{ID}","username":"bob","status":"sleeping","mood":"new"}},"surplus"]"#);
    packets.push(Message::text(good));
    let (connection, mut incoming) = Connection::to(server(packets).await)
        .event_capacity(10_000)
        .await
        .unwrap();
    loop {
        let next = timeout(PATIENCE, incoming.recv()).await.unwrap().expect("it ended");
        let Incoming::Event(event) = next else { continue };
        // To look at it does not hurt either.
        if let Ok(Event::UserOnline(online)) = event.event() {
            assert_eq!((online.username.as_str(), online.status), ("bob", Status::Unknown));
            break;
        }
    }
    assert_eq!(connection.end(), None);
}

#[tokio::test]
async fn unknown_values_and_fields_do_not_lose_a_message() {
    let message = format!(
        r#"42["new_message",{{"messageId":"{ID}","chatId":"{ID}","seq":1,"sender":"{ID}","receiver":"{ID}","content":"hi",
        "messageType":"hologram","timestamp":"2026-01-15T09:30:00.000Z","reactions":[{{"by":null}}]}}]"#
    );
    let (_connection, mut incoming) = Connection::to(server(vec![Message::text(message)]).await)
        .await
        .unwrap();
    let next = timeout(PATIENCE, incoming.recv()).await.unwrap().unwrap();
    let Incoming::Event(event) = next else {
        panic!("{next:?}")
    };
    let Event::NewMessage(message) = event.event().unwrap() else {
        panic!()
    };
    assert_eq!(
        (message.content.as_str(), message.message_type),
        ("hi", MessageType::Unknown)
    );
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_fails_its_asker_alone() {
    let answers = [
        "430[]",
        "431[1]",
        "432[{\"ok\":false}]",
        "433[{\"ok\":true}]",
        "434[{\"ok\":true,\"chatId\":\"c\",\"x\":1}]",
    ];
    // They come before the questions are asked and would be nobody's; so the server waits for the first.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut socket = connected(&listener).await;
        for answer in answers {
            socket.next().await;
            socket.send(Message::text(answer)).await.unwrap();
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    let (connection, _incoming) = Connection::to(format!("http://{address}")).await.unwrap();
    let question = chat_client::protocol::event::JoinChat {
        chat_id: "c".parse().unwrap(),
    };
    for _ in 0..4 {
        let answer = timeout(PATIENCE, connection.ask(&question).unwrap()).await.unwrap();
        assert_eq!(answer.unwrap_err().kind(), chat_client::ErrorKind::Protocol);
    }
    let answer = timeout(PATIENCE, connection.ask(&question).unwrap()).await.unwrap();
    assert_eq!(answer.unwrap().value.chat_id, question.chat_id);
}

/// It pings, so that it seems to live.
#[tokio::test]
async fn a_server_that_reads_nothing_keeps_nobody() {
    for is_dropped in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closed, seen) = tokio::sync::oneshot::channel();
        let server = tokio::spawn(async move {
            let mut socket = connected(&listener).await;
            // The other side has gone when nothing can be written any more.
            while socket.send(Message::text("2")).await.is_ok() {
                tokio::task::yield_now().await;
            }
            let _ = closed.send(());
        });
        let (connection, _incoming) = Connection::to(format!("http://{address}")).await.unwrap();
        // More waits than any kernel takes.
        let payload = "a".repeat(400_000);
        while connection.emit_named("x", &payload).is_ok() {}
        if is_dropped {
            drop(connection);
        } else {
            timeout(PATIENCE, connection.close()).await.unwrap();
            assert_eq!(
                timeout(PATIENCE, connection.ended()).await.unwrap(),
                chat_client::realtime::End::Left
            );
        }
        timeout(PATIENCE, seen).await.unwrap().unwrap();
        server.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_server_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut request = [0; 4096];
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
            let _ = tokio::io::AsyncWriteExt::write_all(
                &mut stream,
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
            )
            .await;
            kept.push(stream);
        }
    });
    let error = Connection::to(format!("http://{address}")).await.unwrap_err();
    assert_eq!(error.kind(), chat_client::ErrorKind::Protocol);
    let error = chat_client::Client::builder(format!("http://{address}"))
        .login("ann", "password")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), chat_client::ErrorKind::Protocol);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting =
        Connection::to(format!("http://{}", silent.local_addr().unwrap())).within(Duration::from_millis(50));
    assert_eq!(connecting.await.unwrap_err().kind(), chat_client::ErrorKind::Timeout);
}

#[tokio::test]
async fn a_websocket_that_is_refused_for_a_while_says_for_how_long() {
    for (status, kind) in [
        ("429 Too Many Requests", ErrorKind::Network),
        ("503 Service Unavailable", ErrorKind::Network),
        ("403 Forbidden", ErrorKind::Protocol),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Until the client has read it and goes.
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let error = Connection::to(format!("http://{address}")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{status}");
    }
}
