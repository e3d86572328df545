//! `kill -9` of a node under load.

use std::time::Instant;

use crate::dice::Plan;
use crate::history::MustHave;
use crate::parts::Parts;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_its_own_that_is_killed_loses_nothing_that_was_acknowledged() {
    let plan = Plan::of(2, 20);
    let mut world = World::on(Parts::embedded().await, 6, 2).await;
    for number in 0..plan.rounds {
        let when = format!("round {number}");
        let load = world.load();
        load.acknowledged(5 + plan.dice(number).below(100), &[0]).await;
        world.parts.nodes[0].kill().await.unwrap();
        let mut sent = load.end().await;
        world.parts.nodes[0].restart().await.unwrap();
        // Nobody is here until somebody comes back.
        assert_eq!(world.people[0].online(world.parts.url(0)).await, [""; 0]);
        world.reconnect().await;
        let right = world.presence_is_right(Instant::now()).await;
        world.judge(&sent, MustHave::Nothing, &when).await;
        world.send_again(&mut sent).await;
        world.judge_and_keep(sent, MustHave::Nothing, &when).await;
        println!("{when}: presence right after {right:?}");
    }
    world.last_judgement(MustHave::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_nodes_that_is_killed_takes_nothing_with_it_but_its_users() {
    let plan = Plan::of(1, 20);
    let mut world = World::on(Parts::of_two().await, 8, 2).await;
    for number in 0..plan.rounds {
        let when = format!("round {number}");
        let mut dice = plan.dice(number);
        let (node, other) = if dice.below(2) == 0 { (0, 1) } else { (1, 0) };
        let load = world.load();
        load.acknowledged(5 + dice.below(100), &[0, 1]).await;
        let killed = Instant::now();
        world.parts.nodes[node].kill().await.unwrap();
        for person in 0..world.people.len() {
            if world.home(person) == node {
                world.devices[person].ends().await;
            }
        }
        let gone = world.presence_is_right_at(other, killed).await;
        // The other node has gone on all the while.
        load.acknowledged(20, &[other]).await;
        assert_eq!(load.refusals(other), 0, "{when}");
        world.parts.nodes[node].restart().await.unwrap();
        world.reconnect().await;
        let right = world.presence_is_right(Instant::now()).await;
        let mut sent = load.end().await;
        world.judge(&sent, MustHave::OfItsNode, &when).await;
        world.send_again(&mut sent).await;
        world.judge_and_keep(sent, MustHave::OfItsNode, &when).await;
        println!("{when}: its users gone after {gone:?}, presence right after {right:?}");
    }
    world.last_judgement(MustHave::OfItsNode).await;
}
