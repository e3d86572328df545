//! MongoDB, Redis and two nodes.

use chat_client::Client;
use chat_client::testing::Server;
use chat_testcontainers::{Mongo, Redis, unique_name};

use crate::{contents, numbers};

#[tokio::test]
async fn two_nodes_on_mongodb_are_one_server() {
    let (mongo, redis) = (Mongo::shared().await.unwrap(), Redis::shared().await.unwrap());
    let (uri, prefix) = (mongo.database_uri(&unique_name("sdk")), unique_name("sdk"));
    let node = || Server::builder().mongodb(&uri).redis(redis.url(), &prefix);
    let (one, two) = (node().await.unwrap(), node().await.unwrap());
    let (ann, bob) = (one.client("ann").await.unwrap(), two.client("bob").await.unwrap());
    let (mut anns, mut bobs) = (ann.messages(), bob.messages());
    ann.online().await.unwrap();
    bob.online().await.unwrap();
    let send = |from: Client, to: Client, first: usize| async move {
        for number in first..first + 50 {
            from.send(to.user_id(), number.to_string()).await.unwrap();
        }
    };
    tokio::join!(send(ann.clone(), bob.clone(), 0), send(bob.clone(), ann.clone(), 0));
    assert_eq!(contents(&mut bobs, 50).await, numbers(0..50));
    assert_eq!(contents(&mut anns, 50).await, numbers(0..50));

    // A node is replaced while the other takes messages for its users.
    two.stop().await;
    send(ann.clone(), bob.clone(), 50).await;
    two.restart().await.unwrap();
    send(ann.clone(), bob.clone(), 100).await;
    assert_eq!(contents(&mut bobs, 100).await, numbers(50..150));
}
