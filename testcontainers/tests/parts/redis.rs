use std::time::Duration;

use chat_testcontainers::{Backend, ErrorKind, Redis, unique_name};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stamp::{logged, on_every_backend, refused};

on_every_backend!(
    paused_it_accepts_and_does_not_answer,
    killed_and_restarted_it_has_its_port_and_its_data,
    stopped_in_good_order_it_can_be_restarted,
    a_dropped_one_is_gone,
);

/// One that waits as long as its test may take.
async fn connection(redis: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&patient);
    connected.await.unwrap()
}

async fn paused_it_accepts_and_does_not_answer(backend: Backend) {
    let redis = Redis::start_on(backend).await.unwrap();
    assert_eq!(redis.backend(), backend);
    let mut connection = connection(&redis).await;
    redis.pause().await.unwrap();
    TcpStream::connect(redis.address()).await.unwrap();
    let mut other = connection.clone();
    let mut write = Box::pin(other.set::<_, _, ()>("paused", 1));
    assert!(timeout(Duration::from_millis(200), &mut write).await.is_err());
    redis.unpause().await.unwrap();
    // It was received before and is done now.
    write.await.unwrap();
    let found: i32 = connection.get("paused").await.unwrap();
    assert_eq!(found, 1);
}

async fn killed_and_restarted_it_has_its_port_and_its_data(backend: Backend) {
    let redis = Redis::start_on(backend).await.unwrap();
    let (address, key) = (redis.address(), unique_name("kept"));
    for round in 1..=3 {
        let counted: i32 = connection(&redis).await.incr(&key, 1).await.unwrap();
        assert_eq!(counted, round);
        redis.kill().await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        assert!(redis.pause().await.is_err());
        redis.restart().await.unwrap();
        assert_eq!(redis.address(), address);
    }
    logged(async || redis.logs().await, "Ready to accept connections", 4).await;
}

async fn stopped_in_good_order_it_can_be_restarted(backend: Backend) {
    let redis = Redis::start_on(backend).await.unwrap();
    let () = connection(&redis).await.set("kept", 1).await.unwrap();
    redis.stop().await.unwrap();
    assert!(TcpStream::connect(redis.address()).await.is_err());
    assert_eq!(redis.kill().await.unwrap_err().kind(), ErrorKind::NotRunning);
    redis.restart().await.unwrap();
    let kept: i32 = connection(&redis).await.get("kept").await.unwrap();
    assert_eq!(kept, 1);
}

async fn a_dropped_one_is_gone(backend: Backend) {
    let redis = Redis::start_on(backend).await.unwrap();
    let address = redis.address();
    drop(redis);
    refused(address).await;
}
