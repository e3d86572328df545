use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use chat_testcontainers::{BACKENDS, Backend, ErrorKind, Mongo, Redis};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{self, say_and_stay};
use crate::stamp::{bounded, logged, on_every_backend, refused};

/// Runs a program's test in three processes, as a runner does, and stays.
const RUNNER: &str = r#"#!/bin/sh
for process in 1 2 3; do
    "$1" --exact sharing::a_process_attaches --nocapture &
done
read -r line
"#;

on_every_backend!(one_instance_serves_all_processes_of_a_run_and_is_gone_when_the_runner_is_killed);

async fn one_instance_serves_all_processes_of_a_run_and_is_gone_when_the_runner_is_killed(backend: Backend) {
    let directory = tempfile::tempdir().unwrap();
    // Its name is what makes it a runner.
    let runner = directory.path().join("cargo-pretended");
    std::fs::write(&runner, RUNNER).unwrap();
    std::fs::set_permissions(&runner, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&runner);
    command.arg(std::env::current_exe().unwrap());
    command.env(BACKENDS, backend.to_string());
    // The files of the run go here, so that it can be seen that they do not stay.
    command.env("TMPDIR", directory.path());
    let mut running = process::run(command);
    let mut said = HashSet::new();
    for _ in 0..3 {
        said.insert(running.said().await);
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let said = said.into_iter().next().unwrap();
    let addresses: Vec<SocketAddr> = said.split(' ').map(|address| address.parse().unwrap()).collect();
    for &address in &addresses {
        TcpStream::connect(address).await.unwrap();
    }
    assert_eq!(kept_in(directory.path()), 1);
    running.child.start_kill().unwrap();
    running.child.wait().await.unwrap();
    for address in addresses {
        refused(address).await;
    }
    bounded(async {
        while kept_in(directory.path()) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// How many runs keep files there.
fn kept_in(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    entries
        .filter(|name| name.to_string_lossy().starts_with("chat-testcontainers"))
        .count()
}

/// Also one of the processes above.
#[tokio::test]
async fn a_process_attaches() {
    bounded(async {
        let (mongo, again, redis) = tokio::join!(Mongo::shared(), Mongo::shared(), Redis::shared());
        let (mongo, redis) = (mongo.unwrap(), redis.unwrap());
        assert_eq!(again.unwrap().address(), mongo.address());
        say_and_stay(format!("{} {}", mongo.address(), redis.address())).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_pauses_kills_or_stops_what_others_use() {
    bounded(async {
        let (mongo, redis) = (Mongo::shared().await.unwrap(), Redis::shared().await.unwrap());
        let refusals = [
            mongo.pause().await,
            mongo.unpause().await,
            mongo.kill().await,
            mongo.stop().await,
            mongo.restart().await,
            redis.kill().await,
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Shared);
        }
        logged(async || mongo.logs().await, "\"Waiting for connections\"", 1).await;
        logged(async || redis.logs().await, "Ready to accept connections", 1).await;
        drop((mongo, redis));
        TcpStream::connect(Mongo::shared().await.unwrap().address())
            .await
            .unwrap();
    })
    .await;
}
