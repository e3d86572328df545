//! What the SDK adds to a WebSocket: questions that are answered in a stream, and events that are told and read by their types.
//!
//! The other side is no server, but answers from memory, so that what is measured is this side, the WebSocket and the kernel.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::SocketAddr;

use chat_client::protocol::SendMessage;
use chat_client::protocol::event::{MessageSent, NewMessage};
use chat_client::realtime::{Connection, Events, Incoming, RawEvent};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async, connect_async_with_config};

/// Packets of a round.
const ROUND: usize = 1_000;
/// Of these, so many are under way at once.
const UNDER_WAY: usize = 64;
const ID: &str = "65f1a0c2e4b0a1b2c3d4e5f6";

/// What is told of a message.
fn told() -> String {
    format!(
        r#"42["new_message",{{"messageId":"{ID}","chatId":"{ID}","seq":7,"sender":"{ID}","receiver":"{ID}","content":"{}","messageType":"text","timestamp":"2026-01-15T09:31:12.345Z"}}]"#,
        "common words ".repeat(8)
    )
}

/// Answers every question, and tells as many messages as `flood` asks for.
async fn peer(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    socket.send(Message::text(open)).await.unwrap();
    while let Some(Ok(Message::Text(packet))) = socket.next().await {
        if packet.starts_with("40") {
            socket.send(Message::text(r#"40{"sid":"s"}"#)).await.unwrap();
        } else if packet.starts_with(r#"42["flood""#) {
            let told = told();
            for _ in 0..ROUND {
                socket.feed(Message::text(told.clone())).await.unwrap();
            }
            socket.flush().await.unwrap();
        } else if let Some((id, _)) = packet.strip_prefix("42").and_then(|rest| rest.split_once('[')) {
            let ack = format!(
                r#"43{id}[{{"ok":true,"messageId":"{ID}","chatId":"{ID}","seq":7,"timestamp":"2026-01-15T09:31:12.345Z"}}]"#
            );
            socket.send(Message::text(ack)).await.unwrap();
        }
    }
}

/// It has a thread of its own, as a server has.
fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(peer(stream));
            }
        });
    });
    address
}

async fn connect(address: SocketAddr) -> (Connection, Events) {
    let connection = Connection::to(format!("http://{address}")).event_capacity(2 * ROUND);
    connection.await.unwrap()
}

fn message() -> SendMessage {
    SendMessage {
        to: ID.parse().unwrap(),
        content: "common words ".repeat(8),
        message_type: None,
        chat_id: None,
        client_message_id: None,
    }
}

async fn ask(connection: &Connection, events: &mut Events, message: &SendMessage) {
    let (mut asked, mut answered) = (0, 0);
    while answered < ROUND {
        while asked < ROUND && asked - answered < UNDER_WAY {
            connection.ask_in_stream(message).unwrap();
            asked += 1;
        }
        if let Some(Incoming::Answer(answer)) = events.recv().await {
            black_box(answer.value::<MessageSent>().unwrap());
            answered += 1;
        }
    }
}

async fn hear(connection: &Connection, events: &mut Events) -> RawEvent {
    connection.emit_named("flood", &ROUND).unwrap();
    let mut heard = 0;
    loop {
        if let Some(Incoming::Event(event)) = events.recv().await {
            black_box(event.payload::<NewMessage>().unwrap());
            heard += 1;
            if heard == ROUND {
                return event;
            }
        }
    }
}

type Bare = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect_bare(address: SocketAddr) -> Bare {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = connect_async_with_config(url, None, true).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket.send(Message::text("40")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket
}

/// The same packets without the SDK, which nobody reads.
async fn ask_bare(socket: &mut Bare, packet: &str) {
    let (mut asked, mut answered) = (0, 0);
    while answered < ROUND {
        while asked < ROUND && asked - answered < UNDER_WAY {
            socket.feed(Message::text(packet)).await.unwrap();
            asked += 1;
        }
        socket.flush().await.unwrap();
        socket.next().await.unwrap().unwrap();
        answered += 1;
    }
}

async fn hear_bare(socket: &mut Bare) {
    socket
        .send(Message::text(format!(r#"42["flood",{ROUND}]"#)))
        .await
        .unwrap();
    for _ in 0..ROUND {
        socket.next().await.unwrap().unwrap();
    }
}

fn realtime(criterion: &mut Criterion) {
    let address = serve();
    let runtime = Runtime::new().unwrap();
    let (connection, mut events) = runtime.block_on(connect(address));
    let mut bare = runtime.block_on(connect_bare(address));
    let message = message();
    let packet = format!(r#"427["send_message",{}]"#, serde_json::to_string(&message).unwrap());

    let mut group = criterion.benchmark_group("realtime");
    group.throughput(Throughput::Elements(ROUND as u64));
    group.bench_function("1,000 messages asked and answered, 64 under way", |bencher| {
        bencher.iter(|| runtime.block_on(ask(&connection, &mut events, &message)));
    });
    group.bench_function("the same by a bare WebSocket", |bencher| {
        bencher.iter(|| runtime.block_on(ask_bare(&mut bare, &packet)));
    });
    group.bench_function("1,000 messages heard and read", |bencher| {
        bencher.iter(|| runtime.block_on(hear(&connection, &mut events)));
    });
    group.bench_function("the same by a bare WebSocket, unread", |bencher| {
        bencher.iter(|| runtime.block_on(hear_bare(&mut bare)));
    });
    group.finish();

    let event = runtime.block_on(hear(&connection, &mut events));
    criterion.bench_function("an event as its type", |bencher| {
        bencher.iter(|| event.event().unwrap())
    });
    criterion.bench_function("its payload, borrowed", |bencher| {
        bencher.iter(|| black_box(event.payload::<NewMessage>().unwrap()));
    });
}

criterion_group!(benches, realtime);
criterion_main!(benches);
