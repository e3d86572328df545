//! The network between one node and its MongoDB or Redis is cut, slow, or resets every connection; the other node's is well.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::dice::Plan;
use crate::history::MustHave;
use crate::kill_redis::HEALED_WITHIN;
use crate::load::Load;
use crate::parts::Parts;
use crate::world::World;

/// In each direction: an answer takes 200 ms more.
const SLOW: Duration = Duration::from_millis(100);
const BETWEEN_RESETS: Duration = Duration::from_millis(400);
/// Unanswered messages of one who floods. More than the server lets one socket have, less than what it holds for a reader.
const FLOOD: usize = 1000;
/// Writes that the store lets wait.
const QUEUED: usize = 4096;
/// What a node may take more while its network fails, in MiB.
const MORE_MEMORY: usize = 64;

/// The load of everybody, and what is watched meanwhile.
struct Watch {
    load: Load,
    memory: usize,
}

impl Watch {
    async fn start(world: &mut World, acknowledged: usize) -> Self {
        let load = world.load();
        Self::over(world, load, acknowledged).await
    }

    /// Somebody floods the node behind the bad network.
    async fn start_with_flood(world: &mut World, acknowledged: usize) -> Self {
        let load = world.load_with_flood(Some((0, FLOOD)));
        Self::over(world, load, acknowledged).await
    }

    async fn over(world: &World, load: Load, acknowledged: usize) -> Self {
        load.acknowledged(acknowledged, &[0, 1]).await;
        let memory = world.parts.memory(0);
        Self { load, memory }
    }

    /// Lets the fault last, and looks whether what may grow is bounded.
    async fn lasts(&self, world: &World, fault: Duration) {
        let until = Instant::now() + fault;
        while Instant::now() < until {
            let queued = world.parts.metric(0, "chat_store_queue_depth").await;
            assert!(queued <= QUEUED, "{queued} writes wait");
            let memory = world.parts.memory(0);
            assert!(
                memory < self.memory + MORE_MEMORY,
                "{} MiB have become {memory}",
                self.memory
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everybody gets on; then all is judged.
    async fn judged(self, world: &mut World, must_have: MustHave, when: &str) {
        self.load.acknowledged(20, &[0, 1]).await;
        assert_eq!(
            self.load.refusals(1),
            0,
            "{when}: the network of the other node is well"
        );
        for node in 0..2 {
            world.parts.says(node, (200, json!([]))).await;
        }
        let memory = (self.memory, world.parts.memory(0));
        let mut sent = self.load.end().await;
        assert!(
            world.devices.iter().all(|device| !device.is_over()),
            "{when}: sockets stay"
        );
        world.presence_is_right(Instant::now()).await;
        let refused = sent.iter().filter(|sent| sent.receipt().is_none()).count();
        println!(
            "{when}: {refused} of {} refused; {memory:?} MiB before and after",
            sent.len()
        );
        world.judge(&sent, must_have, when).await;
        world.send_again(&mut sent).await;
        world.judge_and_keep(sent, must_have, when).await;
    }
}

async fn world(guests: &[usize]) -> World {
    let mut world = World::on(Parts::of_two().await, 8, 2).await;
    for node in guests {
        world.invite(*node).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_is_cut_off_from_one_node() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[]).await;
    for number in 0..plan.rounds {
        let watch = Watch::start_with_flood(&mut world, 5 + plan.dice(number).below(50)).await;
        world.parts.network().mongo.cut();
        watch.load.refused(&[0]).await;
        world.parts.says(0, (503, json!([]))).await;
        world.parts.says(1, (200, json!([]))).await;
        watch.lasts(&world, plan.lasting(3, 10)).await;
        watch.load.acknowledged(10, &[1]).await;
        world.parts.network().mongo.heal();
        watch.judged(&mut world, MustHave::All, &format!("cut {number}")).await;
    }
    world.last_judgement(MustHave::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_is_slow_for_one_node() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[]).await;
    for number in 0..plan.rounds {
        let watch = Watch::start_with_flood(&mut world, 5 + plan.dice(number).below(50)).await;
        world.parts.network().mongo.delay(SLOW);
        watch.lasts(&world, plan.lasting(3, 10)).await;
        // It is slow, and nothing worse.
        watch.load.acknowledged(5, &[0]).await;
        assert_eq!(world.parts.ready(0).await.0, 200);
        world.parts.network().mongo.heal();
        watch.judged(&mut world, MustHave::All, &format!("slow {number}")).await;
    }
    world.last_judgement(MustHave::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_mongodb_are_reset() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[]).await;
    for number in 0..plan.rounds {
        let watch = Watch::start(&mut world, 5 + plan.dice(number).below(50)).await;
        let until = Instant::now() + plan.lasting(3, 10);
        while Instant::now() < until {
            world.parts.network().mongo.reset();
            watch.lasts(&world, BETWEEN_RESETS).await;
        }
        watch
            .judged(&mut world, MustHave::All, &format!("resets {number}"))
            .await;
    }
    world.last_judgement(MustHave::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_cut_off_from_one_node() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[0, 1]).await;
    for number in 0..plan.rounds {
        let when = format!("cut {number}");
        let watch = Watch::start_with_flood(&mut world, 5 + plan.dice(number).below(50)).await;
        world.parts.network().redis.cut();
        world.parts.says(0, (200, json!(["redis"]))).await;
        watch.lasts(&world, plan.lasting(3, 10)).await;
        world.parts.network().redis.heal();
        let healed = world.guests_reach_each_other(&when).await;
        assert!(healed < HEALED_WITHIN, "{when}: {healed:?}");
        watch.judged(&mut world, MustHave::OfItsNode, &when).await;
    }
    world.last_judgement(MustHave::OfItsNode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_slow_for_one_node() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[]).await;
    for number in 0..plan.rounds {
        let watch = Watch::start(&mut world, 5 + plan.dice(number).below(50)).await;
        world.parts.network().redis.delay(SLOW);
        watch.lasts(&world, plan.lasting(3, 10)).await;
        world.parts.network().redis.heal();
        // Late, and all of it.
        watch.judged(&mut world, MustHave::All, &format!("slow {number}")).await;
    }
    world.last_judgement(MustHave::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_redis_are_reset() {
    let plan = Plan::of(1, 5);
    let mut world = world(&[0, 1]).await;
    for number in 0..plan.rounds {
        let when = format!("resets {number}");
        let watch = Watch::start(&mut world, 5 + plan.dice(number).below(50)).await;
        let until = Instant::now() + plan.lasting(3, 10);
        while Instant::now() < until {
            world.parts.network().redis.reset();
            watch.lasts(&world, BETWEEN_RESETS).await;
        }
        let healed = world.guests_reach_each_other(&when).await;
        assert!(healed < HEALED_WITHIN, "{when}: {healed:?}");
        watch.judged(&mut world, MustHave::OfItsNode, &when).await;
    }
    world.last_judgement(MustHave::OfItsNode).await;
}
