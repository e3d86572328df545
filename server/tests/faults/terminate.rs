//! SIGTERM under load: an orderly end in time, nothing that was acknowledged is lost, and the other node hears of all that was stored.

use std::time::{Duration, Instant};

use crate::dice::Plan;
use crate::history::MustHave;
use crate::parts::Parts;
use crate::world::World;

/// The contract's.
const DEADLINE: Duration = Duration::from_secs(10);

/// The node ends while everybody sends, comes back, and all is judged.
async fn round(world: &mut World, node: usize, acknowledged: usize, when: &str) {
    let must_have = if world.parts.nodes.len() == 1 {
        MustHave::Nothing
    } else {
        MustHave::EvenRetried
    };
    let load = world.load();
    load.acknowledged(acknowledged, &[node]).await;
    let asked = Instant::now();
    let status = world.parts.nodes[node].terminate().await.unwrap();
    let took = asked.elapsed();
    let logs = world.parts.nodes[node].logs().await.unwrap();
    assert!(status.success(), "{when}: {status}\n{logs}");
    assert!(took < DEADLINE, "{when}: {took:?}");
    for (number, device) in world.devices.iter().enumerate() {
        if world.home(number) == node {
            device.ends().await;
        }
    }
    let others: Vec<usize> = (0..world.parts.nodes.len()).filter(|other| *other != node).collect();
    load.acknowledged(20, &others).await;
    for other in others {
        assert_eq!(load.refusals(other), 0, "{when}: the other node goes on");
    }
    world.parts.nodes[node].restart().await.unwrap();
    let mut sent = load.end().await;
    world.reconnect().await;
    let right = world.presence_is_right(Instant::now()).await;
    world.judge(&sent, must_have, when).await;
    world.send_again(&mut sent).await;
    world.judge_and_keep(sent, must_have, when).await;
    println!("{when}: ended after {took:?}, presence right after {right:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_to_end_does_and_loses_nothing() {
    let plan = Plan::of(2, 10);
    let mut world = World::on(Parts::embedded().await, 6, 2).await;
    for number in 0..plan.rounds {
        let acknowledged = 5 + plan.dice(number).below(100);
        round(&mut world, 0, acknowledged, &format!("round {number}")).await;
    }
    world.last_judgement(MustHave::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_are_asked_to_end_in_turn_lose_nothing() {
    let plan = Plan::of(2, 10);
    let mut world = World::on(Parts::of_two().await, 8, 2).await;
    for number in 0..plan.rounds {
        let acknowledged = 5 + plan.dice(number).below(100);
        round(&mut world, number % 2, acknowledged, &format!("round {number}")).await;
    }
    world.last_judgement(MustHave::EvenRetried).await;
}
