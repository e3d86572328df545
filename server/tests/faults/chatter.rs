//! Many people at two nodes do all that can be done, at random. No fault but the crowd; a history checker judges.

mod actor;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use self::actor::{Actor, Done};
use crate::device::Device;
use crate::dice::Plan;
use crate::history::MustHave;
use crate::parts::Parts;
use crate::world::World;

/// Whom everybody talks with: so many who come next, and as many before.
const STEPS: usize = 3;
/// One in so many has a second device, at the other node, which only listens.
const WATCHED: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_leaked_or_out_of_order_and_both_nodes_agree() {
    let plan = Plan::of(1, 5);
    let people = if plan.is_full() { 100 } else { 40 };
    for round in 0..plan.rounds {
        let mut world = World::on(Parts::of_two().await, people, STEPS).await;
        for person in (0..people).step_by(WATCHED) {
            let node = 1 - world.home(person);
            let device = Device::open(world.parts.url(node), &world.people[person]).await;
            world.watchers.push((person, node, device));
        }
        let until = Instant::now() + plan.lasting(8, 60);
        let urls: Arc<[String; 2]> = Arc::new([0, 1].map(|node| world.parts.url(node).to_owned()));
        let actors = (0..people).map(|number| {
            let actor = Actor::new(&world, &urls, plan.dice(round * people + number), number, STEPS);
            tokio::spawn(actor.act(until, number % WATCHED == 0))
        });
        let actors: Vec<_> = actors.collect();
        let mut sent = Vec::new();
        let mut operations = 0;
        for (number, done) in join_all(actors).await.into_iter().enumerate() {
            let done: Done = match done {
                Ok(done) => done,
                Err(panicked) => world.parts.fail(&format!("person{number}: {panicked}")).await,
            };
            operations += done.operations;
            sent.extend(done.sent);
            world.record.changes.extend(done.changes);
            world.record.typed.extend(done.typed);
            world.record.marked.extend(done.marked);
            world.past.extend(done.past);
            world.devices[number] = done.device;
            world.homes[number] = done.node;
        }
        println!("round {round}: {operations} operations, {} messages", sent.len());
        world.presence_is_right(Instant::now()).await;
        world
            .judge_and_keep(sent, MustHave::All, &format!("round {round}"))
            .await;
        world.last_judgement(MustHave::All).await;
    }
}
