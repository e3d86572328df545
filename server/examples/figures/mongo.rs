//! The store on MongoDB beside what the bare driver can do, in one run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_server::id::IdSource;
use chat_server::metrics::StoreMetrics;
use chat_server::store::mongo::MongoStore;
use chat_server::store::{MessageStore as _, Store as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use tokio::sync::{mpsc, oneshot};

use super::{SENDERS, growth, row};

/// How long each way of writing is measured.
const ROUND: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;

pub(crate) async fn measure(uri: &str) {
    let name = format!("figures{}", ObjectId::new().to_hex());
    let uri = with_database(uri, &name);
    let mut options = ClientOptions::parse(&uri).await.expect("a good address");
    options.max_pool_size = Some(64);
    let durable = WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build();
    options.write_concern = Some(durable);
    let database = Client::with_options(options).expect("a client").database(&name);
    let (mut bare, mut ours, mut single) = (0.0, 0.0, 0.0);
    let store = MongoStore::open(&uri, StoreMetrics::default()).await.expect("a store");
    let users = growth::users(&*store, 2 * SENDERS).await;
    for _ in 0..ROUNDS {
        bare += bare_group(database.collection("bareGroup")).await;
        ours += sends(&store, &users).await;
        // What follows behind must not be on the bill of the others.
        store.search_caught_up().await.expect("an index");
        single += bare_single(database.collection("bareSingle")).await;
    }
    let got = format!(
        "{:.0}/s of {:.0}/s = {:.0} %",
        ours / 3.0,
        bare / 3.0,
        ours / bare * 100.0
    );
    row(
        "durable sends, 64 senders, beside the bare group writer",
        got,
        "at least 70 %",
        ours >= 0.7 * bare,
    );
    let got = format!("{:.0}/s of {:.0}/s = {:.1}×", ours / 3.0, single / 3.0, ours / single);
    row(
        "durable sends, 64 senders, beside one insert per message",
        got,
        "at least 2.5×",
        ours >= 2.5 * single,
    );
    store.close().await;
    drop(store);
    let uri = with_database(&uri, &format!("{name}b"));
    let store = MongoStore::open(&uri, StoreMetrics::default()).await.expect("a store");
    growth::compare(store).await;
}

/// The address with another database.
fn with_database(uri: &str, name: &str) -> String {
    let (base, options) = uri.split_once('?').unwrap_or((uri, ""));
    let (scheme, rest) = base.split_once("://").expect("an address");
    let host = rest.split('/').next().expect("a host");
    format!("{scheme}://{host}/{name}?{options}")
}

/// A message as the store writes it, without what only the store needs.
fn document(chat: ObjectId, seq: i64) -> Document {
    doc! {
        "_id": ObjectId::new(), "chatId": chat, "seq": seq, "sender": chat, "receiver": ObjectId::new(),
        "content": format!("message number {seq} of this sender"), "messageType": "text", "isRead": false,
        "timestamp": DateTime::now(),
    }
}

async fn index(collection: &Collection<Document>) {
    let unique = IndexOptions::builder().unique(true).build();
    let model = IndexModel::builder()
        .keys(doc! {"chatId": 1, "seq": 1})
        .options(unique)
        .build();
    collection.create_index(model).await.expect("an index");
}

/// Messages per second of 64 senders, each with one message under way.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    send: impl Fn(ObjectId, i64) -> F + Clone + Send + 'static,
) -> f64 {
    let began = Instant::now();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let send = send.clone();
            tokio::spawn(async move {
                let (chat, mut count) = (ObjectId::new(), 0);
                while began.elapsed() < ROUND {
                    count += 1;
                    send(chat, count).await;
                }
                count
            })
        })
        .collect();
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("a sender");
    }
    sent as f64 / began.elapsed().as_secs_f64()
}

/// What is queued goes out as one `insert_many`.
async fn bare_group(collection: Collection<Document>) -> f64 {
    index(&collection).await;
    let (queue, mut queued) = mpsc::channel::<(Document, oneshot::Sender<()>)>(4096);
    let writer = tokio::spawn(async move {
        let mut group = Vec::new();
        while queued.recv_many(&mut group, 512).await > 0 {
            let (documents, answers): (Vec<_>, Vec<_>) = group.drain(..).unzip();
            collection.insert_many(documents).await.expect("an insert");
            for answer in answers {
                let _ = answer.send(());
            }
        }
    });
    let rate = rate(move |chat, seq| {
        let queue = queue.clone();
        async move {
            let (done, answer) = oneshot::channel();
            queue.send((document(chat, seq), done)).await.expect("a writer");
            answer.await.expect("an answer");
        }
    })
    .await;
    writer.await.expect("the writer ends");
    rate
}

async fn bare_single(collection: Collection<Document>) -> f64 {
    index(&collection).await;
    rate(move |chat, seq| {
        let collection = collection.clone();
        async move {
            collection.insert_one(document(chat, seq)).await.expect("an insert");
        }
    })
    .await
}

async fn sends(store: &Arc<MongoStore>, users: &[chat_protocol::UserId]) -> f64 {
    let ids = Arc::new(IdSource::new());
    let began = Instant::now();
    let senders: Vec<_> = (0..SENDERS)
        .map(|index| {
            let (store, ids) = (store.clone(), ids.clone());
            let (from, to) = (users[index].clone(), users[SENDERS + index].clone());
            tokio::spawn(async move {
                let mut count = 0;
                while began.elapsed() < ROUND {
                    count += 1;
                    let message = growth::message(&ids, &from, &to, count);
                    store.send(message).await.expect("a send");
                }
                count
            })
        })
        .collect();
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("a sender");
    }
    sent as f64 / began.elapsed().as_secs_f64()
}
