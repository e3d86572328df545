//! What the servers keep their data in.

use chat_testcontainers::{Error, Mongo, Redis};
use clap::ValueEnum;

/// What the reference server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// One node on its embedded store.
    Sqlite,
    /// One node on MongoDB and Redis.
    Mongo,
    /// Two nodes on MongoDB and Redis.
    Cluster,
}

/// Database servers for the servers that are judged; each of these has a database of its own.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    pub(super) mongo: Option<std::sync::Arc<Mongo>>,
    pub(super) redis: Option<std::sync::Arc<Redis>>,
}

/// What servers sign tokens with; nobody else ever sees these servers.
pub(super) const SECRETS: [(&str, &str); 2] = [
    ("JWT_SECRET", "access tokens of servers that live as long as a run"),
    (
        "JWT_REFRESH_SECRET",
        "refresh tokens of servers that live as long as a run",
    ),
];

impl Stack {
    /// How many nodes are judged.
    pub fn nodes(self) -> usize {
        match self {
            Self::Sqlite | Self::Mongo => 1,
            Self::Cluster => 2,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mongo => "mongo",
            Self::Cluster => "cluster",
        }
    }

    /// Starts what it needs, for this process alone.
    ///
    /// # Errors
    ///
    /// When MongoDB or Redis cannot be started.
    pub async fn databases(self) -> Result<Databases, Error> {
        match self {
            Self::Sqlite => Ok(Databases::default()),
            Self::Mongo | Self::Cluster => Databases::start().await,
        }
    }

    /// The same, of which all test processes of a run have one in common.
    ///
    /// # Errors
    ///
    /// As [`Stack::databases`].
    pub async fn shared_databases(self) -> Result<Databases, Error> {
        match self {
            Self::Sqlite => Ok(Databases::default()),
            Self::Mongo | Self::Cluster => Ok(Databases {
                mongo: Some(Mongo::shared().await?.into()),
                redis: Some(Redis::shared().await?.into()),
            }),
        }
    }
}

impl Databases {
    /// The variables that lead a server to a database of this name.
    pub fn variables(&self, database: &str) -> Vec<(&'static str, String)> {
        let mongo = self
            .mongo
            .iter()
            .map(|mongo| ("MONGODB_URI", mongo.database_uri(database)));
        // A deployment of its own: what others count in the same Redis is not for it.
        let redis = self
            .redis
            .iter()
            .flat_map(|redis| [("REDIS_URL", redis.url()), ("REDIS_PREFIX", database.to_owned())]);
        // Nodes that share a store take each other's tokens.
        let secrets = self
            .mongo
            .iter()
            .flat_map(|_| SECRETS.map(|(name, value)| (name, value.to_owned())));
        mongo.chain(redis).chain(secrets).collect()
    }

    /// A MongoDB and a Redis for this process alone.
    ///
    /// # Errors
    ///
    /// When one of them cannot be started.
    pub async fn start() -> Result<Self, Error> {
        let (mongo, redis) = tokio::try_join!(Mongo::start(), Redis::start())?;
        Ok(Self {
            mongo: Some(mongo.into()),
            redis: Some(redis.into()),
        })
    }
}
