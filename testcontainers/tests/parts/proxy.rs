use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chat_testcontainers::Proxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stamp::bounded;

/// How long nothing must come to be nothing.
const NOTHING: Duration = Duration::from_millis(200);

/// Sends everything back, and tells how its connections end.
struct Echo {
    address: SocketAddr,
    ends: mpsc::UnboundedReceiver<std::io::Result<u64>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, ends) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    let _ = tell.send(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        Self { address, ends }
    }
}

async fn parts() -> (Echo, Proxy) {
    let echo = Echo::start().await;
    let proxy = Proxy::start(echo.address).await.unwrap();
    (echo, proxy)
}

async fn client(proxy: &Proxy) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut client, b"hello").await;
    client
}

/// Says something and hears it.
async fn say(client: &mut TcpStream, something: &[u8]) {
    client.write_all(something).await.unwrap();
    let mut heard = vec![0; something.len()];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, something);
}

async fn hears_nothing(client: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(NOTHING, client.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?}");
}

/// The kind of the error that ends the connection.
async fn broken(client: &mut TcpStream) -> ErrorKind {
    let mut byte = [0];
    client.read(&mut byte).await.unwrap_err().kind()
}

#[tokio::test]
async fn what_goes_in_comes_out_in_order_in_any_condition() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        for condition in 0..4 {
            match condition {
                1 => proxy.delay(Duration::from_millis(20)),
                2 => proxy.bandwidth(20_000_000),
                3 => proxy.heal(),
                _ => {}
            }
            let stream = TcpStream::connect(proxy.address()).await.unwrap();
            let (mut from, mut to) = stream.into_split();
            let sending = sent.clone();
            let sender = tokio::spawn(async move {
                to.write_all(&sending).await.unwrap();
                to.shutdown().await.unwrap();
            });
            let mut heard = Vec::new();
            // To its end: that one side has closed is passed on as well.
            from.read_to_end(&mut heard).await.unwrap();
            sender.await.unwrap();
            assert!(heard == sent, "{} bytes in condition {condition}", heard.len());
        }
        until_open(&proxy, 0).await;
    })
    .await;
}

async fn until_open(proxy: &Proxy, number: usize) {
    while proxy.connections() != number {
        tokio::task::yield_now().await;
    }
}

/// One more connection, which makes so many. The proxy's one thread takes what happens in turn: it has seen all before this.
async fn fence(proxy: &Proxy, number: usize) -> TcpStream {
    until_open(proxy, number - 1).await;
    let fence = TcpStream::connect(proxy.address()).await.unwrap();
    until_open(proxy, number).await;
    fence
}

#[tokio::test]
async fn cut_it_refuses_and_closes_and_healed_it_is_where_it_was() {
    bounded(async {
        let (mut echo, proxy) = parts().await;
        for _ in 0..5 {
            let mut client = client(&proxy).await;
            assert_eq!(proxy.connections(), 1);
            proxy.cut();
            assert_eq!(proxy.connections(), 0);
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            assert!(echo.ends.recv().await.unwrap().is_ok());
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            proxy.cut();
            proxy.heal();
        }
        client(&proxy).await;
    })
    .await;
}

#[tokio::test]
async fn reset_ends_both_sides_with_an_error_and_serves_on() {
    bounded(async {
        let (mut echo, proxy) = parts().await;
        let mut first = client(&proxy).await;
        proxy.reset();
        assert_eq!(broken(&mut first).await, ErrorKind::ConnectionReset);
        let end = echo.ends.recv().await.unwrap().unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        client(&proxy).await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_were_made_just_now_end_as_well() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        for round in 0..200 {
            let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
            if round % 2 == 0 {
                proxy.cut();
                proxy.heal();
            } else {
                proxy.reset();
            }
            let ended = fresh.read(&mut [0]).await;
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?} in round {round}");
        }
        client(&proxy).await;
    })
    .await;
}

#[tokio::test]
async fn a_delay_is_on_both_ways_and_no_limit_on_how_much() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        let mut client = client(&proxy).await;
        let delay = Duration::from_millis(100);
        proxy.delay(delay);
        let began = Instant::now();
        // All of it is on its way at the same time.
        say(&mut client, &[7; 200_000]).await;
        assert!(began.elapsed() >= 2 * delay, "{:?}", began.elapsed());
        proxy.delay(Duration::ZERO);
        say(&mut client, b"quick again").await;
    })
    .await;
}

#[tokio::test]
async fn bandwidth_is_shared_by_all_connections() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        let (mut one, mut other) = (client(&proxy).await, client(&proxy).await);
        proxy.bandwidth(100_000);
        let began = Instant::now();
        tokio::join!(say(&mut one, &[1; 20_000]), say(&mut other, &[2; 20_000]));
        // 40 000 bytes, up and down at the same time.
        assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
        proxy.bandwidth(0);
        say(&mut one, &[3; 500_000]).await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_line_makes_its_sender_wait() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        let mut client = client(&proxy).await;
        proxy.bandwidth(1000);
        // More than the system takes in for both sides and the proxy beside.
        let stuck = timeout(Duration::from_millis(500), client.write_all(&vec![0; 30_000_000])).await;
        assert!(stuck.is_err());
    })
    .await;
}

#[tokio::test]
async fn half_open_it_swallows_and_whoever_lost_something_is_reset_by_healing() {
    bounded(async {
        let (mut echo, proxy) = parts().await;
        let (mut speaker, mut listener) = (client(&proxy).await, client(&proxy).await);
        proxy.half_open();
        speaker.write_all(b"is anybody there?").await.unwrap();
        let mut silent = TcpStream::connect(proxy.address()).await.unwrap();
        let mut talker = TcpStream::connect(proxy.address()).await.unwrap();
        talker.write_all(b"hello").await.unwrap();
        let _fence = fence(&proxy, 5).await;
        for client in [&mut speaker, &mut listener, &mut silent, &mut talker] {
            hears_nothing(client).await;
        }
        assert_eq!(proxy.connections(), 5);
        assert!(echo.ends.try_recv().is_err());
        proxy.heal();
        assert_eq!(broken(&mut speaker).await, ErrorKind::ConnectionReset);
        assert_eq!(broken(&mut talker).await, ErrorKind::ConnectionReset);
        // Nothing of theirs was lost.
        say(&mut listener, b"still here").await;
        say(&mut silent, b"here at last").await;
    })
    .await;
}

#[tokio::test]
async fn half_open_hides_that_a_side_closed() {
    bounded(async {
        let (mut echo, proxy) = parts().await;
        let leaver = client(&proxy).await;
        proxy.half_open();
        drop(leaver);
        let _fence = fence(&proxy, 2).await;
        let told = timeout(NOTHING, echo.ends.recv()).await;
        assert!(told.is_err());
        proxy.heal();
        assert!(echo.ends.recv().await.unwrap().is_err());
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_down_ends_each_connection_until_it_is_up() {
    bounded(async {
        // Bound from the beginning, so that nobody else takes the port; it refuses until somebody listens.
        let upstream = TcpSocket::new_v4().unwrap();
        upstream.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let proxy = Proxy::start(upstream.local_addr().unwrap()).await.unwrap();
        // A quick proxy may have ended it before this side has noticed that it is open.
        let ended = match TcpStream::connect(proxy.address()).await {
            Ok(mut client) => broken(&mut client).await,
            Err(error) => error.kind(),
        };
        assert_eq!(ended, ErrorKind::ConnectionReset);
        let upstream = upstream.listen(16).unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = upstream.accept().await.unwrap();
        server.write_all(b"up").await.unwrap();
        let mut heard = [0; 2];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"up");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    bounded(async {
        let (_echo, proxy) = parts().await;
        let mut client = client(&proxy).await;
        let address = proxy.address();
        drop(proxy);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    })
    .await;
}
