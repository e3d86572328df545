//! What this backend promises beyond the suite.

mod adoption;
mod counting;
mod marking;
mod nodes;
mod outages;
mod pages;
mod plans;
mod searching;
mod stalls;
mod uncounted;

use std::sync::Arc;

use chat_testcontainers::{Mongo, unique_name};

use super::MongoStore;
use crate::metrics::StoreMetrics;
use crate::store::Store;
use crate::store::suite::store_suite;

async fn open() -> (Arc<dyn Store>, Mongo) {
    let (store, mongo, _) = open_own().await;
    (store, mongo)
}

/// A store on a new database, which others can be opened on.
async fn open_own() -> (Arc<MongoStore>, Mongo, String) {
    let mongo = Mongo::shared().await.unwrap();
    let uri = mongo.database_uri(&unique_name("store"));
    (node(&uri).await, mongo, uri)
}

async fn node(uri: &str) -> Arc<MongoStore> {
    MongoStore::open(uri, StoreMetrics::default()).await.unwrap()
}

store_suite!(open());
