//! `kill -9` of Redis under load, and its restart.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::dice::Plan;
use crate::history::MustHave;
use crate::parts::Parts;
use crate::world::World;

/// The contract has 3 s; the rest is for a machine that runs all of this at once.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn nodes_serve_their_own_and_find_each_other_again() {
    let plan = Plan::of(2, 10);
    let mut world = World::on(Parts::of_two().await, 8, 2).await;
    for node in [0, 1, 0] {
        world.invite(node).await;
    }
    for number in 0..plan.rounds {
        let when = format!("round {number}");
        let load = world.load();
        load.acknowledged(5 + plan.dice(number).below(100), &[0, 1]).await;
        world.parts.redis().kill().await.unwrap();
        for node in 0..2 {
            world.parts.says(node, (200, json!(["redis"]))).await;
        }
        load.acknowledged(20, &[0, 1]).await;
        // The other node does not hear of one who goes, and of one who comes instead.
        world.guests[2].device = None;
        world.invite(1).await;
        world.guests.swap_remove(2);
        world.parts.redis().restart().await.unwrap();
        let back = Instant::now();
        let healed = world.guests_reach_each_other(&when).await;
        assert!(healed < HEALED_WITHIN, "{when}: {healed:?}");
        let right = world.presence_is_right(back).await;
        load.acknowledged(20, &[0, 1]).await;
        for node in 0..2 {
            assert_eq!(load.refusals(node), 0, "{when}");
            world.parts.says(node, (200, json!([]))).await;
        }
        let sent = load.end().await;
        assert!(
            world.devices.iter().all(|device| !device.is_over()),
            "{when}: sockets stay"
        );
        world.judge_and_keep(sent, MustHave::OfItsNode, &when).await;
        println!("{when}: delivery between nodes back after {healed:?}, presence right after {right:?}");
    }
    world.last_judgement(MustHave::OfItsNode).await;
}
