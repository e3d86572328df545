//! Each example, run as its reader would run it, against the real server.

use std::path::PathBuf;
use std::process::Stdio;

use chat_client::testing::{PASSWORD, Server};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::{PATIENCE, contents, next};

/// Where cargo puts it, beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(name);
    assert!(path.exists(), "build it first: cargo build -p chat-client --examples");
    path
}

fn example(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// An example that says when it is ready, and goes on.
async fn ready(command: &mut Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(first.as_deref(), Some("ready"));
    (child, lines)
}

/// What an example that ends by itself prints.
async fn printed(command: &mut Command, input: &str) -> String {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while timeout(PATIENCE, output.read_line(&mut said))
        .await
        .expect("it said no more and did not end")
        .unwrap()
        > 0
    {}
    let status = timeout(PATIENCE, child.wait()).await.expect("it never ended").unwrap();
    assert!(status.success(), "{status:?}");
    said
}

#[tokio::test]
async fn the_quick_start_prints_and_answers_in_fifteen_lines() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut answers = ann.messages();
    let (_child, mut lines) = ready(example("quick_start").args([&server.url(), "bob", PASSWORD])).await;
    ann.send(bob.user_id(), "hello").await.unwrap();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(line, format!("{}: hello", ann.user_id()));
    assert_eq!(next(&mut answers).await.content, "Thank you for your message.");

    let source = include_str!("../../examples/quick_start.rs");
    let body = source.split_once("async fn main").unwrap().1.lines().skip(1);
    let written = body.take_while(|line| !line.starts_with('}')).count();
    assert!(written <= 15, "{written} lines");
}

#[tokio::test]
async fn the_echo_bot_misses_nothing_between_two_runs() {
    let server = Server::start().await.unwrap();
    let (ann, bot) = (server.client("ann").await.unwrap(), server.client("bot").await.unwrap());
    let mut answers = ann.messages();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap().to_owned();
    let address = server.url();
    let bot_with = |password: &str| {
        let mut run = example("echo_bot");
        run.args([&address, "bot", password, &path]);
        run
    };
    // The process and what it prints.
    let mut running = ready(&mut bot_with(PASSWORD)).await;
    // Gone for sure, so that it is the next one that answers.
    running.0.kill().await.unwrap();
    ann.send(bot.user_id(), "before its first message").await.unwrap();
    running = ready(&mut bot_with("no longer needed")).await;
    assert_eq!(contents(&mut answers, 1).await, ["before its first message"]);
    for number in 0..3 {
        ann.send(bot.user_id(), number.to_string()).await.unwrap();
    }
    assert_eq!(contents(&mut answers, 3).await, ["0", "1", "2"]);
    for round in 1..6 {
        // Its position is written after the answer, so a message may be answered twice; none may be forgotten.
        for number in 0..round {
            let content = format!("{round}: {number}");
            ann.send(bot.user_id(), &content).await.unwrap();
            while next(&mut answers).await.content != content {}
        }
        // Also in the middle of that.
        running.0.start_kill().unwrap();
        let content = format!("{round}: while it was away");
        ann.send(bot.user_id(), &content).await.unwrap();
        // From its tokens: the password is wrong.
        running = ready(&mut bot_with("no longer needed")).await;
        while next(&mut answers).await.content != content {}
    }
}

#[tokio::test]
async fn the_export_has_every_message() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    for number in 0..120 {
        ann.send(bob.user_id(), number.to_string()).await.unwrap();
    }
    bob.send(ann.user_id(), "last").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.jsonl");
    let mut export = example("export");
    export.args([&server.url(), "ann", PASSWORD]).arg(&file);
    assert_eq!(printed(&mut export, "").await, "121 messages\n");
    let written = std::fs::read_to_string(file).unwrap();
    let messages: Vec<chat_client::protocol::Message> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 121);
    assert_eq!(messages[120].content, "last");
}

#[tokio::test]
async fn the_load_arrives_whole() {
    let server = Server::start().await.unwrap();
    let said = printed(example("load").args([&server.url(), "20", "10"]), "").await;
    assert!(said.contains("200 messages stored and delivered"), "{said}");
}

#[tokio::test]
async fn the_costs_are_told() {
    let said = printed(example("costs").args(["10", "1600"]), "").await;
    for told in [
        "connections: 0 of 500 acks in flight reached somebody else",
        "1000 missed messages, by 11 requests",
        "KiB for each of 10 idle ones",
    ] {
        assert!(said.contains(told), "{told:?} is not in\n{said}");
    }
}

#[tokio::test]
async fn the_terminal_shows_a_chat() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    bob.send(ann.user_id(), "are you there?").await.unwrap();
    let mut terminal = example("terminal");
    terminal.args([&server.url(), "ann", PASSWORD, "scripted"]);
    let screen = printed(&mut terminal, "yes, here I am\n/chat nobody\n").await;
    assert_eq!(next(&mut messages).await.content, "yes, here I am");
    for shown in [
        "bob: are you there?",
        "me: yes, here I am",
        "Chats",
        "There is no user nobody.",
    ] {
        assert!(screen.contains(shown), "{shown:?} is not in\n{screen}");
    }
}
