//! The proxy's thread: accepts connections and follows orders.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection;
use super::line::{Condition, End, Lines};

const BACKLOG: u32 = 1024;
/// Between tries, when the system refuses to accept or to listen, for want of file descriptors for instance.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

pub(super) enum Order {
    Cut,
    Heal,
    Reset,
    Change(Box<dyn FnOnce(&mut Condition) + Send>),
}

/// An order, and whom to tell when it is done.
pub(super) struct Ask {
    pub(super) order: Order,
    pub(super) done: std_mpsc::Sender<()>,
}

/// A socket bound to the address. Others of ours may be bound to it too, so that the port can be kept without listening.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

/// Until nobody can give orders any more.
pub(super) async fn run(
    address: SocketAddr,
    upstream: SocketAddr,
    listener: std::net::TcpListener,
    lines: Arc<Lines>,
    mut orders: mpsc::UnboundedReceiver<Ask>,
) {
    let mut listener = TcpListener::from_std(listener).ok();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            ask = orders.recv() => {
                let Some(ask) = ask else { break };
                follow(ask.order, address, &mut listener, &lines, &mut connections).await;
                let _ = ask.done.send(());
            }
            client = accept(listener.as_ref()) => {
                // It listens for its end from here on, not from when it is first run: an order may come in between.
                let ends = lines.ends.subscribe();
                connections.spawn(connection::carry(client, upstream, Arc::clone(&lines), ends));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    end(End::Closed, &lines, &mut connections).await;
}

async fn follow(
    order: Order,
    address: SocketAddr,
    listener: &mut Option<TcpListener>,
    lines: &Lines,
    connections: &mut JoinSet<()>,
) {
    match order {
        Order::Cut => {
            *listener = None;
            end(End::Closed, lines, connections).await;
        }
        Order::Reset => {
            // With its listener go those that it has not accepted yet. They are reset by the system. The new one is there
            // before, so that none is refused.
            if listener.is_some()
                && let Ok(fresh) = listen(address)
            {
                *listener = Some(fresh);
            }
            end(End::Reset, lines, connections).await;
        }
        Order::Heal => {
            lines.condition.send_replace(Condition::HEALTHY);
            lines.up.clear();
            lines.down.clear();
            while listener.is_none() {
                match listen(address) {
                    Ok(listening) => *listener = Some(listening),
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
        }
        Order::Change(change) => {
            lines.condition.send_modify(change);
        }
    }
}

/// Ends all connections and waits until they are.
async fn end(how: End, lines: &Lines, connections: &mut JoinSet<()>) {
    lines.ends.send_replace(how);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}
