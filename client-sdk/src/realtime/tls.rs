//! Encryption of `https` and `wss` addresses.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_tungstenite::Connector;

use crate::{Error, ErrorKind, Result};

/// Which certificates are trusted: those that the system trusts. Cheap to clone; made once for many connections, for to make
/// it reads all of them.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads what the system trusts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it cannot be read.
    pub fn new() -> Result<Self> {
        let unusable = "the system's certificates cannot be used";
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(|error| Error::new(ErrorKind::Config, unusable).because(error))?;
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    pub(super) fn connector(&self) -> Connector {
        Connector::Rustls(self.0.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}
