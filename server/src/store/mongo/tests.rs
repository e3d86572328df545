//! What this backend promises beyond the suite.

use std::sync::Arc;

use super::MongoStore;
use crate::metrics::StoreMetrics;
use crate::store::Store;
use crate::store::suite::store_suite;

async fn open() -> (Arc<dyn Store>, ()) {
    let base = std::env::var("MONGO_TEST_URI").unwrap();
    let uri = format!("{base}/t{}?replicaSet=rs0", rand::random::<u64>());
    (MongoStore::open(&uri, StoreMetrics::default()).await.unwrap(), ())
}

store_suite!(open());
