//! Where tokens are kept between runs.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, file};

/// Keeps the tokens of one session, so that [`Builder::resume`](crate::Builder::resume) needs no password.
///
/// A refresh token works once, so what was saved last must be what is loaded: save before you return.
///
/// ```
/// use chat_client::{Error, Result, StoredTokens, TokenStore};
///
/// /// In the keyring of the desktop.
/// struct Keyring;
///
/// # fn read_keyring() -> std::io::Result<Option<StoredTokens>> { Ok(None) }
/// # fn write_keyring(_: Option<&StoredTokens>) -> std::io::Result<()> { Ok(()) }
/// #[async_trait::async_trait]
/// impl TokenStore for Keyring {
///     async fn load(&self) -> Result<Option<StoredTokens>> {
///         read_keyring().map_err(Error::token_store)
///     }
///     async fn save(&self, tokens: &StoredTokens) -> Result<()> {
///         write_keyring(Some(tokens)).map_err(Error::token_store)
///     }
///     async fn clear(&self) -> Result<()> {
///         write_keyring(None).map_err(Error::token_store)
///     }
/// }
/// ```
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// What was saved last; `None` when nothing was, or it was cleared.
    async fn load(&self) -> Result<Option<StoredTokens>>;
    /// Keeps these in place of those before.
    async fn save(&self, tokens: &StoredTokens) -> Result<()>;
    /// Forgets them: the session has ended.
    async fn clear(&self) -> Result<()>;
}

/// The tokens of a session. They do not print, and are wiped from memory when dropped.
#[derive(Debug, Clone)]
pub struct StoredTokens {
    /// For requests and sockets.
    pub access: SecretString,
    /// For new tokens, once.
    pub refresh: SecretString,
    /// When the access token expires, by this machine's clock.
    pub expires_at: SystemTime,
}

/// Keeps tokens as long as the process lives. The default.
#[derive(Debug, Default)]
pub struct MemoryTokens(Mutex<Option<StoredTokens>>);

#[async_trait]
impl TokenStore for MemoryTokens {
    async fn load(&self) -> Result<Option<StoredTokens>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, tokens: &StoredTokens) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokens.clone());
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// Keeps tokens in a file that nobody else may read (mode 0600). It is replaced as a whole, so that a crash leaves the old
/// tokens or the new ones. One client at a time: two would spend each other's refresh tokens.
#[derive(Debug)]
pub struct FileTokens(PathBuf);

impl FileTokens {
    /// In this file, whose directory exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait]
impl TokenStore for FileTokens {
    async fn load(&self) -> Result<Option<StoredTokens>> {
        let json = file::read(&self.0).await.map_err(Error::token_store)?;
        json.map(|json| Written::read(&json))
            .transpose()
            .map_err(Error::token_store)
    }

    async fn save(&self, tokens: &StoredTokens) -> Result<()> {
        let json = Written::of(tokens).map_err(Error::token_store)?;
        file::replace(&self.0, json).await.map_err(Error::token_store)
    }

    async fn clear(&self) -> Result<()> {
        file::remove(&self.0).await.map_err(Error::token_store)
    }
}

/// As the file has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    access_token: String,
    refresh_token: String,
    /// Seconds since 1970.
    expires_at: u64,
}

impl Written {
    fn of(tokens: &StoredTokens) -> io::Result<Vec<u8>> {
        let since = tokens.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = Self {
            access_token: tokens.access.expose_secret().to_owned(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
            expires_at: since.as_secs(),
        };
        Ok(serde_json::to_vec(&written)?)
    }

    fn read(json: &[u8]) -> io::Result<StoredTokens> {
        // The error of serde_json could show a token.
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file of tokens is damaged");
        let written: Self = serde_json::from_slice(json).map_err(|_| damaged())?;
        let expires_at = UNIX_EPOCH.checked_add(Duration::from_secs(written.expires_at));
        Ok(StoredTokens {
            access: written.access_token.into(),
            refresh: written.refresh_token.into(),
            expires_at: expires_at.ok_or_else(damaged)?,
        })
    }
}

impl Error {
    /// For a [`TokenStore`] of your own: what kept it from its work.
    pub fn token_store(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::TokenStore, "the tokens could not be kept or read").because(source)
    }
}

impl fmt::Debug for dyn TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenStore")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(number: u64) -> StoredTokens {
        StoredTokens {
            access: format!("access {number}").into(),
            refresh: format!("refresh {number}").into(),
            expires_at: UNIX_EPOCH + Duration::from_secs(number),
        }
    }

    async fn keeps(store: &dyn TokenStore) {
        assert!(store.load().await.unwrap().is_none());
        store.clear().await.unwrap();
        for number in [1_700_000_000, 1_800_000_000] {
            store.save(&tokens(number)).await.unwrap();
            let loaded = store.load().await.unwrap().unwrap();
            assert_eq!(loaded.access.expose_secret(), tokens(number).access.expose_secret());
            assert_eq!(loaded.refresh.expose_secret(), tokens(number).refresh.expose_secret());
            assert_eq!(loaded.expires_at, tokens(number).expires_at);
        }
        store.clear().await.unwrap();
        assert!(store.load().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn both_keep_what_was_saved_last() {
        keeps(&MemoryTokens::default()).await;
        let dir = tempfile::tempdir().unwrap();
        keeps(&FileTokens::new(dir.path().join("tokens.json"))).await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        // Of another program, and open to all.
        std::fs::write(&path, "old").unwrap();
        let store = FileTokens::new(&path);
        store.save(&tokens(1)).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let left = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "only the file itself is left");
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_without_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        std::fs::write(&path, r#"{"accessToken":"hunter2"}"#).unwrap();
        let error = FileTokens::new(&path).load().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenStore);
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(!format!("{:?}", tokens(1)).contains("access 1"));
    }
}
