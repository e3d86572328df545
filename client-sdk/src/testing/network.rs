//! The network between the clients of a test and its server: TCP that fails at will.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks that are on their way in one direction.
const ON_THE_WAY: usize = 64;

/// What the network is like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weather {
    /// Where the server is.
    pub(super) upstream: Option<SocketAddr>,
    pub(super) refuses: bool,
    pub(super) delay: Duration,
    /// Connections of an older age are closed.
    pub(super) age: u64,
}

/// Closes everything when it is dropped.
pub(super) struct Network {
    pub(super) address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl Network {
    pub(super) async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather {
            upstream: Some(upstream),
            refuses: false,
            delay: Duration::ZERO,
            age: 0,
        });
        let seen = weather.subscribe();
        let task = tokio::spawn(accept(listener, seen));
        Ok(Self { address, weather, task })
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
        // With the sender goes the weather, and with it every connection.
    }
}

async fn accept(listener: TcpListener, weather: watch::Receiver<Weather>) {
    while let Ok((client, _)) = listener.accept().await {
        let now = *weather.borrow();
        // One that is refused is closed at once: as good as no answer, and the port stays ours.
        if let (Some(upstream), false) = (now.upstream, now.refuses) {
            tokio::spawn(connect(client, upstream, now.age, weather.clone()));
        }
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, age: u64, mut weather: watch::Receiver<Weather>) {
    let seen = weather.clone();
    let join = async {
        let server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            carry(from_client, to_server, seen.clone()),
            carry(from_server, to_client, seen)
        )
    };
    tokio::select! {
        _ = join => {}
        // Changed, or gone with the network.
        _ = weather.wait_for(|now| now.age != age) => {}
    }
}

/// Passes on what is read, as late as the weather wants it at that time.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if from.read_buf(&mut chunk).await? == 0 {
                return Ok(());
            }
            let arrives = Instant::now() + weather.borrow().delay;
            if sender.send((arrives, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((arrives, chunk)) = receiver.recv().await {
            sleep_until(arrives).await;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_: ((), ())| ())
}
