//! WebSockets of servers, encrypted where their address says so.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::body::LARGEST;

pub(crate) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens WebSockets. Cheap to clone; made once, for to trust what the system trusts is to read all of it.
#[derive(Clone)]
pub(crate) struct Sockets(Connector);

impl Sockets {
    /// `secure`: for addresses of `https` too, by the certificates that requests trust as well. A small image has none to read, and
    /// none are needed without.
    ///
    /// # Errors
    ///
    /// When what the system trusts cannot be read.
    pub(super) fn new(secure: bool) -> Result<Self, String> {
        Ok(Self(match secure {
            true => Connector::Rustls(trusting_the_system().map_err(|error| format!("certificates: {error}"))?),
            false => Connector::Plain,
        }))
    }

    /// Opens a WebSocket with this query at a server's base URL.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the server does not open one.
    pub(crate) async fn open(&self, base: &str, query: &str) -> Result<WebSocket, Error> {
        let url = format!("{}/socket.io/?{query}", base.replacen("http", "ws", 1));
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST));
        let opened = connect_async_tls_with_config(url, Some(config), false, Some(self.0.clone())).await?;
        Ok(opened.0)
    }
}

/// The provider is named because several are in this program, of which none is the one that counts.
fn trusting_the_system() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(provider.clone())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // The name of every choice of a verifier; this one is the system's.
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(config.with_no_client_auth()))
}
