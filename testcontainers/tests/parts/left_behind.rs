//! What a test leaves behind that does not come to its end.

use std::net::SocketAddr;

use chat_testcontainers::{BACKENDS, Backend, Mongo, Node, Program, Redis};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::process::{self, say_and_stay};
use crate::stamp::{bounded, on_every_backend, refused};

on_every_backend!(killed_processes_leave_nothing, interrupted_processes_leave_nothing);

async fn killed_processes_leave_nothing(backend: Backend) {
    ended_by(Signal::KILL, backend).await;
}

async fn interrupted_processes_leave_nothing(backend: Backend) {
    ended_by(Signal::INT, backend).await;
}

async fn ended_by(signal: Signal, backend: Backend) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "left_behind::a_process_has_parts_of_its_own", "--nocapture"]);
    command.env(BACKENDS, backend.to_string());
    let mut process = process::run(command);
    let said = process.said().await;
    let id = i32::try_from(process.child.id().unwrap()).unwrap();
    // Kept open while it is waited for, so that it ends by the signal and not with its input.
    let input = process.child.stdin.take();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    let status = process.child.wait().await.unwrap();
    drop(input);
    assert!(!status.success());
    let mut words = said.split(' ');
    for _ in 0..2 {
        let address: SocketAddr = words.next().unwrap().parse().unwrap();
        refused(address).await;
    }
    // The directories go after the processes.
    for directory in words {
        let gone = async {
            while std::path::Path::new(directory).exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        bounded(gone).await;
    }
}

/// Also one of the processes above.
#[tokio::test]
async fn a_process_has_parts_of_its_own() {
    bounded(async {
        let (mongo, redis) = tokio::join!(Mongo::start(), Redis::start());
        let (mongo, redis) = (mongo.unwrap(), redis.unwrap());
        let server = "echo listening on http://127.0.0.1:{port}; sleep 1000";
        let node = Node::start(Program::new("sh").arguments(["-c", server])).await.unwrap();
        let data = node.data().display();
        say_and_stay(format!("{} {} {data}", mongo.address(), redis.address())).await;
    })
    .await;
}
