//! Accounts, and the tokens by which connections and clients become theirs.

use std::sync::Arc;

use chat_client::realtime::Connect;
use chat_client::realtime::Connection;
use chat_client::{Builder, Client, MemoryTokens, Result, StoredTokens, TokenStore};

/// Where the server is, and what all requests share.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) http: reqwest::Client,
}

pub(crate) struct Person {
    /// Makes requests only.
    pub(crate) desk: Client,
    pub(crate) tokens: StoredTokens,
}

impl Place {
    pub(crate) fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            http: reqwest::Client::new(),
        }
    }

    pub(crate) async fn people(&self, number: usize) -> Result<Vec<Person>> {
        let mut people = Vec::new();
        for index in 0..number {
            people.push(self.person(index).await?);
        }
        Ok(people)
    }

    async fn person(&self, index: usize) -> Result<Person> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("f{}.{index}", since.as_micros());
        let kept = Shared::default();
        let builder = Client::builder(&self.address).http(self.http.clone());
        let builder = builder.without_realtime().token_store(kept.clone());
        let desk = builder
            .register(&name, format!("{name}@example.org"), "correct horse")
            .await?;
        let tokens = kept.load().await?.expect("tokens that were kept");
        Ok(Person { desk, tokens })
    }

    pub(crate) fn connection(&self, person: &Person) -> Connect {
        Connection::to(&self.address).token(person.tokens.access.clone())
    }

    /// A client of this person, to be resumed.
    pub(crate) async fn client(&self, person: &Person) -> Result<Builder> {
        let store = MemoryTokens::default();
        store.save(&person.tokens).await?;
        let builder = Client::builder(&self.address).http(self.http.clone());
        Ok(builder.token_store(store))
    }
}

/// A store of tokens that can be read from outside.
#[derive(Clone, Default)]
struct Shared(Arc<MemoryTokens>);

#[async_trait::async_trait]
impl TokenStore for Shared {
    async fn load(&self) -> Result<Option<StoredTokens>> {
        self.0.load().await
    }

    async fn save(&self, tokens: &StoredTokens) -> Result<()> {
        self.0.save(tokens).await
    }

    async fn clear(&self) -> Result<()> {
        self.0.clear().await
    }
}
