use std::future::IntoFuture as _;
use std::time::Duration;

use chat_testcontainers::{Backend, ErrorKind, Mongo, unique_name};
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stamp::{logged, on_every_backend, refused};

on_every_backend!(
    ready_means_that_a_majority_write_is_acknowledged_at_once,
    it_can_do_transactions,
    paused_it_accepts_and_does_not_answer,
    killed_and_restarted_it_has_its_port_and_its_data,
    stopped_in_good_order_it_can_be_restarted,
    a_paused_one_can_be_killed_stopped_and_restarted,
    a_dropped_one_is_gone_in_whatever_state,
    two_have_nothing_in_common,
    one_on_a_disk_is_as_one_in_memory,
);

async fn collection(uri: &str) -> Collection<Document> {
    let mut options = ClientOptions::parse(uri).await.unwrap();
    options.server_selection_timeout = Some(Duration::from_secs(5));
    let journaled = WriteConcern::builder()
        .w(mongodb::options::Acknowledgment::Majority)
        .journal(true)
        .w_timeout(Duration::from_secs(5));
    options.write_concern = Some(journaled.build());
    let client = Client::with_options(options).unwrap();
    client.default_database().unwrap().collection("notes")
}

async fn ready_means_that_a_majority_write_is_acknowledged_at_once(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    assert_eq!(mongo.backend(), backend);
    let notes = collection(&mongo.database_uri(&unique_name("ready"))).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
    // Nothing of ours is in the way of the one who counts databases.
    let names = notes.client().list_database_names().await.unwrap();
    let others: Vec<_> = names
        .iter()
        .filter(|name| !["admin", "config", "local"].contains(&name.as_str()))
        .collect();
    assert_eq!(others.len(), 1, "{names:?}");
    logged(async || mongo.logs().await, "\"Waiting for connections\"", 1).await;
}

async fn it_can_do_transactions(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    let mut session = notes.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    notes.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 0);
    session.commit_transaction().await.unwrap();
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 1);
}

async fn paused_it_accepts_and_does_not_answer(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
    mongo.pause().await.unwrap();
    TcpStream::connect(mongo.address()).await.unwrap();
    let mut write = Box::pin(notes.insert_one(doc! { "_id": 2 }).into_future());
    let answered = timeout(Duration::from_millis(500), &mut write).await;
    assert!(answered.is_err(), "{answered:?}");
    mongo.unpause().await.unwrap();
    write.await.unwrap();
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 2);
}

async fn killed_and_restarted_it_has_its_port_and_its_data(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    let (address, uri) = (mongo.address(), mongo.database_uri("chat"));
    let mut written = 0;
    for round in 1..=2 {
        let notes = collection(&uri).await;
        for _ in 0..20 {
            notes.insert_one(doc! { "_id": written }).await.unwrap();
            written += 1;
        }
        mongo.kill().await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        assert_eq!(mongo.kill().await.unwrap_err().kind(), ErrorKind::NotRunning);
        mongo.restart().await.unwrap();
        assert_eq!((mongo.address(), mongo.database_uri("chat")), (address, uri.clone()));
        let found = collection(&uri).await.count_documents(doc! {}).await.unwrap();
        assert_eq!(found, 20 * round);
    }
    // Both lives are in the log.
    logged(async || mongo.logs().await, "\"Waiting for connections\"", 3).await;
}

async fn stopped_in_good_order_it_can_be_restarted(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
    mongo.stop().await.unwrap();
    assert!(TcpStream::connect(mongo.address()).await.is_err());
    assert!(mongo.logs().await.unwrap().contains("Shutting down"));
    assert_eq!(mongo.stop().await.unwrap_err().kind(), ErrorKind::NotRunning);
    mongo.restart().await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 1);
}

async fn a_paused_one_can_be_killed_stopped_and_restarted(backend: Backend) {
    let mongo = Mongo::start_on(backend).await.unwrap();
    mongo.pause().await.unwrap();
    mongo.kill().await.unwrap();
    assert!(TcpStream::connect(mongo.address()).await.is_err());
    mongo.restart().await.unwrap();
    mongo.pause().await.unwrap();
    mongo.stop().await.unwrap();
    assert!(TcpStream::connect(mongo.address()).await.is_err());
    mongo.restart().await.unwrap();
    mongo.pause().await.unwrap();
    mongo.restart().await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
}

async fn a_dropped_one_is_gone_in_whatever_state(backend: Backend) {
    let paused = Mongo::start_on(backend).await.unwrap();
    paused.pause().await.unwrap();
    let address = paused.address();
    drop(paused);
    refused(address).await;

    let killed = Mongo::start_on(backend).await.unwrap();
    killed.kill().await.unwrap();
    drop(killed);
}

async fn two_have_nothing_in_common(backend: Backend) {
    let (one, other) = tokio::join!(Mongo::start_on(backend), Mongo::start_on(backend));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.address(), other.address());
    one.kill().await.unwrap();
    let notes = collection(&other.database_uri("chat")).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
}

async fn one_on_a_disk_is_as_one_in_memory(backend: Backend) {
    let mongo = Mongo::start_on_disk(backend).await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    notes.insert_one(doc! { "_id": 1 }).await.unwrap();
    mongo.kill().await.unwrap();
    mongo.restart().await.unwrap();
    let notes = collection(&mongo.database_uri("chat")).await;
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 1);
}
