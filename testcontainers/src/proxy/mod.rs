//! A bad network between two parts, at will.

mod connection;
mod line;
mod serve;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use self::line::{Condition, Lines};
use self::serve::{Ask, Order};
use crate::error::{Doing as _, Error};

/// A TCP proxy on 127.0.0.1 whose network fails when a test says so.
///
/// It begins healthy and passes everything on at once. Each call has taken effect when it returns, and holds until another
/// one changes it or [`Proxy::heal`] lifts all. The proxy has a thread of its own: how busy a test is does not show in
/// its delays. Dropped, it closes everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chat_testcontainers::Proxy;
/// use tokio::net::{TcpListener, TcpStream};
///
/// let server = TcpListener::bind("127.0.0.1:0").await?;
/// let proxy = Proxy::start(server.local_addr()?).await?;
/// TcpStream::connect(proxy.address()).await?;
/// proxy.cut();
/// assert!(TcpStream::connect(proxy.address()).await.is_err());
/// proxy.heal();
/// TcpStream::connect(proxy.address()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    lines: Arc<Lines>,
    orders: Option<mpsc::UnboundedSender<Ask>>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the port while the network is cut and nobody listens on it.
    _reservation: TcpSocket,
}

impl Proxy {
    /// Begins to listen on a free port. Nothing needs to listen on `upstream` yet: each connection tries it anew, and is
    /// closed when nothing does.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when the system gives no port or no thread.
    pub async fn start(upstream: SocketAddr) -> Result<Self, Error> {
        let reservation = serve::bind((Ipv4Addr::LOCALHOST, 0).into()).doing(|| "no port for a proxy".into())?;
        let address = reservation.local_addr().doing(|| "no port for a proxy".into())?;
        let listener = serve::listen(address).doing(|| format!("a proxy cannot listen on {address}"))?;
        let listener = listener
            .into_std()
            .doing(|| "a proxy cannot move to its thread".into())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(|| "no runtime for a proxy".into())?;
        let lines = Arc::new(Lines::default());
        let (orders, received) = mpsc::unbounded_channel();
        let theirs = Arc::clone(&lines);
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || runtime.block_on(serve::run(address, upstream, listener, theirs, received)))
            .doing(|| "no thread for a proxy".into())?;
        Ok(Self {
            address,
            lines,
            orders: Some(orders),
            thread: Some(thread),
            _reservation: reservation,
        })
    }

    /// Where it listens: what the part under test is given in place of the real address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open through it now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lines.connections()
    }

    /// Refuses new connections and closes those there are. What was on its way is lost.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Everything is well again: it listens, passes on at once and loses nothing. A connection that lost bytes while
    /// [half open](Proxy::half_open) is reset, for its bytes no longer make sense; others go on.
    pub fn heal(&self) {
        self.order(Order::Heal);
    }

    /// Resets (RST) the connections there are, to both sides. New ones are served as before.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    /// Delivers everything later by this much, in both directions: an answer takes twice as long more. At most 1 MiB a
    /// connection and direction is on its way. Zero lifts it.
    ///
    /// Precise to about a millisecond. The system makes connections, so these are not delayed.
    pub fn delay(&self, delay: Duration) {
        self.order(Order::Change(Box::new(move |condition| condition.delay = delay)));
    }

    /// Accepts and says nothing: what either side sends, also that it closes, is swallowed; connections stay open. So does
    /// a network that loses all packets look to those who wait for an answer.
    pub fn half_open(&self) {
        self.order(Order::Change(Box::new(|condition| condition.silent = true)));
    }

    /// Passes on at most this many bytes per second in each direction, all connections together. Zero lifts it.
    pub fn bandwidth(&self, bytes_per_second: u64) {
        self.order(Order::Change(Box::new(move |condition| {
            condition.rate = bytes_per_second
        })));
    }

    /// Returns when it is done: by another thread, which waits for nothing of ours.
    fn order(&self, order: Order) {
        let (done, wait) = std::sync::mpsc::channel();
        if let Some(orders) = &self.orders
            && orders.send(Ask { order, done }).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Condition {
    const HEALTHY: Self = Self {
        silent: false,
        delay: Duration::ZERO,
        rate: 0,
    };
}
