//! Echoes: one writes, the other writes the same back, and only then the first writes again. The work that `rust_socketio` can do
//! as well, so that both are measured by it; and whose answers reach whom when many are awaited at once.

use std::process::Stdio;
use std::time::Instant;

use chat_client::Result;
use chat_client::protocol::event::{MessageSent, NewMessage};
use chat_client::protocol::{SendMessage, UserId};
use chat_client::realtime::{Answer, Connection, Event, Events, Incoming};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::people::{Person, Place};
use crate::process::cpu_seconds;
use crate::streams::{all, message};

/// Answers awaited at once on one connection.
const AT_ONCE: usize = 500;

/// What the other program says of itself.
#[derive(Deserialize)]
struct Rival {
    seconds: f64,
    cpu: f64,
    right: usize,
    misrouted: usize,
    unanswered: usize,
}

/// In turns, so that what else the machine does hits all of them.
pub(crate) async fn beside_the_rival(place: &Place, people: &[Person], messages: usize) -> Result<()> {
    let rounds = messages / people.len();
    let rival = std::env::var_os("RIVAL");
    for _ in 0..2 {
        let (began, cpu) = (Instant::now(), cpu_seconds());
        by_connections(place, people, rounds).await?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        tell("connections", rounds * people.len(), seconds, cpu);

        let (began, cpu) = (Instant::now(), cpu_seconds());
        by_clients(place, people, rounds).await?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        tell("clients", rounds * people.len(), seconds, cpu);

        let strangers = place.people(2).await?;
        let misrouted = at_once(place, &strangers).await?;
        println!("connections: {misrouted} of {AT_ONCE} acks in flight reached somebody else");

        if let Some(rival) = &rival {
            let strangers = place.people(2).await?;
            let did = ask(rival, place, people, &strangers, rounds).await;
            tell("rust_socketio", rounds * people.len(), did.seconds, did.cpu);
            println!(
                "rust_socketio: {} of {AT_ONCE} acks in flight reached somebody else, {} nobody, {} whom they were for",
                did.misrouted, did.unanswered, did.right
            );
        }
    }
    if rival.is_none() {
        println!("rust_socketio was not measured: RIVAL does not name its program");
    }
    Ok(())
}

async fn by_connections(place: &Place, people: &[Person], rounds: usize) -> Result<()> {
    let mut working = JoinSet::new();
    for pair in people.chunks(2) {
        let (one, two) = (place.connection(&pair[0]).await?, place.connection(&pair[1]).await?);
        let (one_id, two_id) = (pair[0].desk.user_id().clone(), pair[1].desk.user_id().clone());
        working.spawn(async move {
            let (one, mut heard_by_one) = one;
            let (two, mut heard_by_two) = two;
            let ask = async {
                let mut question = message(two_id);
                for _ in 0..rounds {
                    let acked = say(&one, &question);
                    question.content = hear(&mut heard_by_one).await;
                    acked.await.expect("stored");
                }
            };
            let echo = async {
                let mut answer = message(one_id);
                for _ in 0..rounds {
                    answer.content = hear(&mut heard_by_two).await;
                    let acked = say(&two, &answer);
                    acked.await.expect("stored");
                }
            };
            tokio::join!(ask, echo);
        });
    }
    all(working).await;
    Ok(())
}

fn say(connection: &Connection, message: &SendMessage) -> Answer<MessageSent> {
    connection.ask(message).expect("room")
}

/// The content of the next message.
async fn hear(events: &mut Events) -> String {
    loop {
        let incoming = events.recv().await.expect("a connection that goes on");
        if let Incoming::Event(event) = incoming
            && let Ok(Event::NewMessage(NewMessage { content, .. })) = event.event()
        {
            return content;
        }
    }
}

async fn by_clients(place: &Place, people: &[Person], rounds: usize) -> Result<()> {
    let mut working = JoinSet::new();
    for pair in people.chunks(2) {
        let one = place.client(&pair[0]).await?.resume().await?;
        let two = place.client(&pair[1]).await?.resume().await?;
        one.online().await?;
        two.online().await?;
        working.spawn(async move {
            let (mut heard_by_one, mut heard_by_two) = (one.messages(), two.messages());
            let ask = async {
                let mut content = message(two.user_id().clone()).content;
                for _ in 0..rounds {
                    let acked = one.send(two.user_id(), content).queue().expect("room");
                    content = heard_by_one.next().await.expect("a stream that goes on").content;
                    acked.await.expect("stored");
                }
            };
            let echo = async {
                for _ in 0..rounds {
                    let heard = heard_by_two.next().await.expect("a stream that goes on");
                    two.send(one.user_id(), heard.content).await.expect("stored");
                }
            };
            tokio::join!(ask, echo);
        });
    }
    all(working).await;
    Ok(())
}

/// How many of the answers are somebody else's: the n-th message of a chat has the number n.
async fn at_once(place: &Place, pair: &[Person]) -> Result<usize> {
    let connecting = place.connection(&pair[0]).packet_capacity(AT_ONCE);
    let (connection, _events) = connecting.await?;
    let to: &UserId = pair[1].desk.user_id();
    let question = message(to.clone());
    let answers: Vec<_> = (0..AT_ONCE).map(|_| say(&connection, &question)).collect();
    let mut misrouted = 0;
    for (number, answer) in answers.into_iter().enumerate() {
        misrouted += usize::from(answer.await?.value.seq != Some(number as u64 + 1));
    }
    Ok(misrouted)
}

/// Has the other program do the same, in a process of its own.
async fn ask(rival: &std::ffi::OsStr, place: &Place, people: &[Person], strangers: &[Person], rounds: usize) -> Rival {
    let person = |person: &Person| serde_json::json!({"id": person.desk.user_id(), "token": person.tokens.access.expose_secret()});
    let pair = |pair: &[Person]| pair.iter().map(person).collect::<Vec<_>>();
    let setting = serde_json::json!({
        "base": place.address,
        "pairs": people.chunks(2).map(pair).collect::<Vec<_>>(),
        "strangers": pair(strangers),
        "content": message(people[0].desk.user_id().clone()).content,
        "rounds": rounds,
        "at_once": AT_ONCE,
    });
    let mut command = tokio::process::Command::new(rival);
    command
        .arg(setting.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let output = command.spawn().expect("the other program").wait_with_output().await;
    let output = output.expect("what the other program says");
    assert!(output.status.success(), "the other program failed");
    serde_json::from_slice(&output.stdout).expect("what the other program says")
}

fn tell(what: &str, messages: usize, seconds: f64, cpu: f64) {
    let (each, rate) = (cpu * 100_000.0 / messages as f64, messages as f64 / seconds);
    println!("{what}: {each:.2} CPU-s per 100,000 echoed, {rate:.0} in a second");
}
