//! The CPU of messages in streams: each sender has some under way.

use std::collections::VecDeque;
use std::time::Instant;

use chat_client::protocol::event::MessageSent;
use chat_client::protocol::{SendMessage, UserId};
use chat_client::realtime::{Event, Events, Incoming};
use chat_client::{Outgoing, Result};
use tokio::task::JoinSet;

use crate::people::{Person, Place};
use crate::process::cpu_seconds;

/// Messages that one sender has under way.
const UNDER_WAY: usize = 16;
const CONTENT: &str = "a message of a usual length, as people write them";

pub(crate) fn message(to: UserId) -> SendMessage {
    SendMessage {
        to,
        content: CONTENT.into(),
        message_type: None,
        chat_id: None,
        client_message_id: None,
    }
}

/// Two connections of a pair: one asks, the other listens.
pub(crate) async fn by_connections(place: &Place, people: &[Person], messages: usize) -> Result<()> {
    let mut pairs = Vec::new();
    for pair in people.chunks(2) {
        let (one, two) = (
            place.connection(&pair[0]).event_capacity(4096).await?,
            place.connection(&pair[1]).event_capacity(4096).await?,
        );
        pairs.push((one, two, pair[1].desk.user_id().clone()));
    }
    let each = messages / pairs.len();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut working = JoinSet::new();
    for ((sender, mut answers), (other, heard), to) in pairs {
        working.spawn(async move {
            let message = message(to);
            let send = async {
                let (mut sent, mut acked) = (0, 0);
                let mut batch = Vec::new();
                while acked < each {
                    while sent - acked < UNDER_WAY && sent < each {
                        sender.ask_in_stream(&message).expect("room");
                        sent += 1;
                    }
                    assert!(answers.recv_many(&mut batch, 64).await > 0, "the connection ended");
                    for incoming in batch.drain(..) {
                        if let Incoming::Answer(answer) = incoming {
                            answer.value::<MessageSent>().expect("a good answer");
                            acked += 1;
                        }
                    }
                }
            };
            tokio::join!(send, listen(heard, each));
            drop(other); // Open until now.
        });
    }
    all(working).await;
    tell("connections", messages, began, cpu);
    Ok(())
}

async fn listen(mut heard: Events, number: usize) {
    let (mut seen, mut batch) = (0, Vec::new());
    while seen < number {
        assert!(heard.recv_many(&mut batch, 64).await > 0, "the connection ended");
        for incoming in batch.drain(..) {
            match incoming {
                Incoming::Event(event) => {
                    if let Ok(Event::NewMessage(_)) = event.event() {
                        seen += 1;
                    }
                }
                Incoming::Missed(number) => panic!("{number} missed"),
                _ => {}
            }
        }
    }
}

/// The same by clients, with all their promises.
pub(crate) async fn by_clients(place: &Place, people: &[Person], messages: usize) -> Result<()> {
    let mut clients = Vec::new();
    for person in people {
        let builder = place.client(person).await?;
        let client = builder.in_flight_per_chat(UNDER_WAY).resume().await?;
        client.online().await?;
        clients.push(client);
    }
    let each = messages / (clients.len() / 2);
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut working = JoinSet::new();
    for pair in clients.chunks(2) {
        let (sender, to) = (pair[0].clone(), pair[1].user_id().clone());
        let mut received = pair[1].messages();
        working.spawn(async move {
            let send = async {
                let mut under_way = VecDeque::new();
                for _ in 0..each {
                    if under_way.len() == UNDER_WAY {
                        let first: Outgoing = under_way.pop_front().expect("one that is under way");
                        first.await.expect("stored");
                    }
                    under_way.push_back(sender.send(&to, CONTENT).queue().expect("room"));
                }
                for message in under_way {
                    message.await.expect("stored");
                }
            };
            let receive = async {
                for _ in 0..each {
                    received.next().await.expect("a stream that goes on");
                }
            };
            tokio::join!(send, receive);
        });
    }
    all(working).await;
    tell("clients", messages, began, cpu);
    for client in clients {
        client.shutdown().await;
    }
    Ok(())
}

pub(crate) async fn all<T: 'static>(mut working: JoinSet<T>) {
    while let Some(done) = working.join_next().await {
        done.expect("a task that ends well");
    }
}

fn tell(what: &str, messages: usize, began: Instant, cpu: f64) {
    let used = (cpu_seconds() - cpu) * 100_000.0 / messages as f64;
    let rate = messages as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {used:.2} CPU-s per 100,000 sent + acked + received, {rate:.0} in a second");
}
