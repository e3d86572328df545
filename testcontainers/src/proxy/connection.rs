//! One connection through the proxy.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::line::{Condition, End, Lane, Lines};

/// The most that is on its way in one direction, in bytes.
const ON_THE_WAY: usize = 1 << 20;
/// The most that is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// With a limited rate, what is read at once takes a fiftieth of a second to leave, so that it leaves evenly.
const CHUNKS_PER_SECOND: u64 = 50;
/// With a limited rate, how long what was taken in takes to leave.
const BUFFERED: Duration = Duration::from_millis(100);

/// Carries bytes between a client and the upstream until one of them ends it or the proxy does.
pub(super) async fn carry(
    mut client: TcpStream,
    upstream: SocketAddr,
    lines: Arc<Lines>,
    mut ends: watch::Receiver<End>,
) {
    let _open = lines.open();
    let mut server = None;
    let end = tokio::select! {
        _ = ends.changed() => *ends.borrow(),
        passed = pass(&mut client, &mut server, upstream, &lines) => match passed {
            Ok(()) => End::Closed,
            // One side broke off. The other one learns it in the same way.
            Err(_) => End::Reset,
        },
    };
    if end == End::Reset {
        for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
}

async fn pass(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: SocketAddr,
    lines: &Lines,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut condition = lines.condition.subscribe();
    if condition.borrow_and_update().silent {
        swallow(client, &mut condition).await?;
    }
    let connected = TcpStream::connect(upstream).await?;
    connected.set_nodelay(true)?;
    let server = server.insert(connected);
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    let up = Pump::new(client_reads, server_writes, &lines.up, condition.clone());
    let down = Pump::new(server_reads, client_writes, &lines.down, condition);
    tokio::try_join!(up.run(), down.run())?;
    Ok(())
}

/// Of a connection made in silence, until the silence ends. An error when something was lost.
async fn swallow(client: &mut TcpStream, condition: &mut watch::Receiver<Condition>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let mut lost = false;
    let mut ended = false;
    loop {
        tokio::select! {
            read = client.read(&mut buffer), if !ended => {
                lost = true;
                ended = matches!(read, Ok(0) | Err(_));
            }
            changed = condition.wait_for(|condition| !condition.silent) => {
                return if lost || changed.is_err() { Err(torn()) } else { Ok(()) };
            }
        }
    }
}

/// One direction of one connection.
struct Pump<'a, R, W> {
    from: R,
    to: W,
    lane: &'a Lane,
    condition: watch::Receiver<Condition>,
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    bytes_on_the_way: usize,
    /// Bytes are missing: it can only go on as long as nobody finds out.
    lost: bool,
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pump<'a, R, W> {
    fn new(from: R, to: W, lane: &'a Lane, condition: watch::Receiver<Condition>) -> Self {
        Self {
            from,
            to,
            lane,
            condition,
            on_the_way: VecDeque::new(),
            bytes_on_the_way: 0,
            lost: false,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut ended = false;
        loop {
            let condition = *self.condition.borrow_and_update();
            if condition.silent {
                self.lost |= self.bytes_on_the_way > 0;
                self.on_the_way.clear();
                self.bytes_on_the_way = 0;
            } else if self.lost {
                return Err(torn());
            } else if ended && self.on_the_way.is_empty() {
                // Refused only when the other side is gone already.
                let _ = self.to.shutdown().await;
                return Ok(());
            }
            let room = on_the_way(condition).saturating_sub(self.bytes_on_the_way);
            let most = room.min(chunk(condition.rate));
            let next = self.on_the_way.front().map(|(arrives, _)| *arrives);
            tokio::select! {
                // What has arrived goes before what comes in.
                biased;
                _ = self.condition.changed() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.deliver().await?,
                read = self.from.read(&mut buffer[..most]), if !ended && most > 0 => match read {
                    Ok(0) => {
                        ended = true;
                        // That it closed is not seen either.
                        self.lost |= condition.silent;
                    }
                    Err(_) if condition.silent => {
                        ended = true;
                        self.lost = true;
                    }
                    Err(error) => return Err(error),
                    Ok(_) if condition.silent => self.lost = true,
                    Ok(bytes) => self.send(&buffer[..bytes], condition).await?,
                },
            }
        }
    }

    async fn send(&mut self, bytes: &[u8], condition: Condition) -> io::Result<()> {
        let arrives = self.lane.arrival(bytes.len(), condition);
        if self.on_the_way.is_empty() && arrives <= Instant::now() {
            return self.to.write_all(bytes).await;
        }
        self.bytes_on_the_way += bytes.len();
        self.on_the_way.push_back((arrives, bytes.to_vec()));
        Ok(())
    }

    async fn deliver(&mut self) -> io::Result<()> {
        if let Some((_, bytes)) = self.on_the_way.pop_front() {
            self.bytes_on_the_way -= bytes.len();
            self.to.write_all(&bytes).await?;
        }
        Ok(())
    }
}

/// How many bytes may be on their way. A slow line takes in little more than it delivers: who sends too much finds out soon.
fn on_the_way(condition: Condition) -> usize {
    if condition.rate == 0 {
        return ON_THE_WAY;
    }
    let ahead = condition.delay + BUFFERED;
    let bytes = u128::from(condition.rate) * ahead.as_millis() / 1000;
    usize::try_from(bytes)
        .unwrap_or(ON_THE_WAY)
        .clamp(chunk(condition.rate), ON_THE_WAY)
}

fn chunk(rate: u64) -> usize {
    if rate == 0 {
        return CHUNK;
    }
    usize::try_from(rate / CHUNKS_PER_SECOND)
        .unwrap_or(CHUNK)
        .clamp(1, CHUNK)
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "bytes were lost")
}
