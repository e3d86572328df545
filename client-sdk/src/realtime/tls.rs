//! Encryption of `https` and `wss` addresses.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use tokio_tungstenite::Connector;

use crate::{Error, ErrorKind, Result};

/// Which certificates are trusted: those that the system trusts, and authorities of one's own. Cheap to clone; made once for
/// many clients and connections, for to make it reads all of them.
///
/// ```no_run
/// # async fn example(password: &str, authority: &[u8]) -> chat_client::Result<()> {
/// use chat_client::Client;
/// use chat_client::realtime::Tls;
///
/// let tls = Tls::with_root_certificates(authority)?;
/// let ann = Client::builder("https://chat.internal").tls(tls.clone()).login("ann", password).await?;
/// let bob = Client::builder("https://chat.internal").tls(tls).login("bob", password).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads what the system trusts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it cannot be read.
    pub fn new() -> Result<Self> {
        Self::trusting(Vec::new())
    }

    /// Reads what the system trusts, and trusts the authorities in this PEM as well: one certificate or several.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there is none in it, or one that makes no sense, or the system's cannot be read.
    pub fn with_root_certificates(pem: impl AsRef<[u8]>) -> Result<Self> {
        let unreadable = |error| Error::new(ErrorKind::Config, "no PEM of certificates").because(error);
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_ref()).collect();
        let roots = roots.map_err(unreadable)?;
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there is no certificate in this PEM"));
        }
        Self::trusting(roots)
    }

    fn trusting(roots: Vec<CertificateDer<'static>>) -> Result<Self> {
        let unusable = |error| Error::new(ErrorKind::Config, "the certificates cannot be used").because(error);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, provider.clone()).map_err(unusable)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous() // The name of every choice of a verifier; this one is the system's.
            .with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    pub(super) fn connector(&self) -> Connector {
        Connector::Rustls(self.0.clone())
    }

    /// Requests that trust the same.
    pub(crate) fn requests(&self) -> Result<reqwest::Client> {
        let unusable = |error| Error::new(ErrorKind::Config, "no HTTP client").because(error);
        let builder = reqwest::Client::builder().tls_backend_preconfigured((*self.0).clone());
        builder.build().map_err(unusable)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}
