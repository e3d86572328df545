//! What stands before a server in production: it may decrypt, it sees every request, and it can be cut off.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

const REFUSAL: &[u8] =
    b"HTTP/1.1 500 \r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 42\r\n\r\n{\"message\":\"No.\",\"code\":\"INTERNAL_ERROR\"}\n";

/// Forwards to a server, and keeps the first line of each request. Closed when dropped.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
    way: watch::Sender<Way>,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<String>>,
    /// Requests with this in their first line are answered with 500.
    refused: Mutex<Option<String>>,
}

struct Way {
    is_open: bool,
    /// How often it was cut. Connections from before a cut end, also when it is open again before they look.
    cuts: u64,
}

impl Front {
    pub(crate) async fn plain(server: SocketAddr) -> Self {
        Self::start(server, None).await
    }

    pub(crate) async fn encrypted(server: SocketAddr, tls: Arc<ServerConfig>) -> Self {
        Self::start(server, Some(tls.into())).await
    }

    async fn start(server: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let way = watch::Sender::new(Way { is_open: true, cuts: 0 });
        let (seen, mut changes) = (log.clone(), way.subscribe());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (client, _) = accepted.unwrap();
                        let (tls, seen, mut way) = (tls.clone(), seen.clone(), changes.clone());
                        let cuts = way.borrow().cuts;
                        tokio::spawn(async move {
                            tokio::select! {
                                () = serve(client, server, tls, seen) => {}
                                _ = way.wait_for(|way| !way.is_open || way.cuts != cuts) => {}
                            }
                        });
                    }
                    // Gone with the test.
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        });
        Self { address, log, way }
    }

    /// Cuts every connection, also those to come.
    pub(crate) fn close(&self) {
        self.way.send_modify(|way| {
            way.is_open = false;
            way.cuts += 1;
        });
    }

    pub(crate) fn open(&self) {
        self.way.send_modify(|way| way.is_open = true);
    }

    /// The requests since this was asked last, as `GET /path`.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.log.requests.lock().unwrap())
    }

    /// Answers requests to paths with this in them by a failure of its own, until told otherwise.
    pub(crate) fn refuse(&self, path: Option<&str>) {
        *self.log.refused.lock().unwrap() = path.map(str::to_owned);
    }
}

async fn serve(client: TcpStream, server: SocketAddr, tls: Option<TlsAcceptor>, seen: Arc<Log>) {
    client.set_nodelay(true).unwrap();
    match tls {
        None => carry(client, server, seen).await,
        // A client that does not trust us goes here.
        Some(tls) => {
            if let Ok(client) = tls.accept(client).await {
                carry(client, server, seen).await;
            }
        }
    }
}

async fn carry(client: impl AsyncRead + AsyncWrite, server: SocketAddr, seen: Arc<Log>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = server.into_split();
    let (refuse, refused) = oneshot::channel();
    let there = async {
        let (mut chunk, mut line) = (vec![0; 16 * 1024], Vec::new());
        loop {
            let length = from_client.read(&mut chunk).await?;
            if length == 0 {
                return to_server.shutdown().await;
            }
            for byte in &chunk[..length] {
                if *byte != b'\n' {
                    line.push(*byte);
                    continue;
                }
                let text = String::from_utf8_lossy(&line);
                if let Some(request) = text.strip_suffix(" HTTP/1.1\r") {
                    // The body of the request before, which is JSON, ends without a line break.
                    let request = request.rsplit_once('}').map_or(request, |(_, request)| request);
                    seen.requests.lock().unwrap().push(request.to_owned());
                    let refused = seen.refused.lock().unwrap().clone();
                    if refused.is_some_and(|path| request.contains(&path)) {
                        let _ = refuse.send(());
                        return to_server.shutdown().await;
                    }
                }
                line.clear();
            }
            to_server.write_all(&chunk[..length]).await?;
        }
    };
    let back = async {
        tokio::select! {
            biased;
            Ok(()) = refused => to_client.write_all(REFUSAL).await?,
            copied = copy(&mut from_server, &mut to_client) => drop(copied?),
        }
        to_client.shutdown().await
    };
    // Ends as its two sides do, however that is.
    let _ = tokio::join!(there, back);
}
