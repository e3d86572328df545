//! `kill -9` of MongoDB under load, and its restart.

use std::time::Instant;

use serde_json::json;

use crate::dice::Plan;
use crate::history::MustHave;
use crate::parts::Parts;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_and_what_was_refused_is_there_at_most_once() {
    let plan = Plan::of(1, 10);
    let mut world = World::on(Parts::of_two().await, 8, 2).await;
    for number in 0..plan.rounds {
        let when = format!("round {number}");
        let load = world.load();
        load.acknowledged(5 + plan.dice(number).below(100), &[0, 1]).await;
        world.parts.mongo().kill().await.unwrap();
        load.refused(&[0, 1]).await;
        for node in 0..2 {
            world.parts.says(node, (503, json!([]))).await;
        }
        assert!(
            world.devices.iter().all(|device| !device.is_over()),
            "{when}: sockets stay"
        );
        world.parts.mongo().restart().await.unwrap();
        let back = Instant::now();
        load.acknowledged(20, &[0, 1]).await;
        let healed = back.elapsed();
        let mut sent = load.end().await;
        let refused = sent.iter().filter(|sent| sent.receipt().is_none()).count();
        assert!(
            world.devices.iter().all(|device| !device.is_over()),
            "{when}: sockets stay"
        );
        world.presence_is_right(back).await;
        world.judge(&sent, MustHave::All, &when).await;
        world.send_again(&mut sent).await;
        world.judge_and_keep(sent, MustHave::All, &when).await;
        for node in 0..2 {
            world.parts.says(node, (200, json!([]))).await;
        }
        println!("{when}: {refused} refused, 20 from everybody acknowledged {healed:?} after the restart");
    }
    world.last_judgement(MustHave::All).await;
}
