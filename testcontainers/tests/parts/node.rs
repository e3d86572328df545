use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chat_testcontainers::{Backend, ErrorKind, Launch, Node, Place, Program, Ready};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stamp::bounded;

/// Says that it is ready, and ends in good order on SIGTERM. Its loop is short, for a shell runs a trap between commands; what
/// it leaves behind it writes first, for it may be killed as soon as it is ready.
const SERVER: &str = r#"
trap 'echo bye; exit 7' TERM
echo starting
echo run >>"$1/runs"
echo "listening on http://127.0.0.1:$PORT/"
while :; do sleep 0.05; done
"#;

fn server() -> Program {
    Program::new("sh")
        .arguments(["-c", SERVER, "server", "{data}"])
        .variable("PORT", "{port}")
}

#[tokio::test]
async fn killed_and_restarted_it_has_its_port_and_its_directory() {
    bounded(async {
        let node = Node::start(server()).await.unwrap();
        let url = node.url().to_owned();
        assert_eq!(url, format!("http://{}", node.address()));
        let id = node.process_id().unwrap();
        assert_eq!(node.ended().await.unwrap(), None);
        node.kill().await.unwrap();
        assert_eq!(node.process_id(), None);
        assert_eq!(node.ended().await.unwrap().unwrap().signal(), Some(9));
        assert_eq!(node.kill().await.unwrap_err().kind(), ErrorKind::NotRunning);
        node.restart().await.unwrap();
        // Running, too.
        node.restart().await.unwrap();
        assert_eq!(node.url(), url);
        assert_ne!(node.process_id(), Some(id));
        let logs = node.logs().await.unwrap();
        assert_eq!(logs.matches("listening on").count(), 3, "{logs}");
        let runs = node.data().join("runs");
        assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), 3);
        drop(node);
        assert!(!runs.exists());
    })
    .await;
}

#[tokio::test]
async fn terminated_it_says_how_it_ended() {
    bounded(async {
        let node = Node::start(server()).await.unwrap();
        assert_eq!(node.terminate().await.unwrap().code(), Some(7));
        assert!(node.logs().await.unwrap().ends_with("bye\n"));
        assert_eq!(node.terminate().await.unwrap_err().kind(), ErrorKind::NotRunning);
        node.restart().await.unwrap();
        assert_eq!(node.terminate().await.unwrap().code(), Some(7));
    })
    .await;
}

#[tokio::test]
async fn what_it_started_ends_with_it() {
    bounded(async {
        let program = "sleep 1000 & echo $! >\"$1/child\"; echo listening on http://127.0.0.1:1; wait";
        let parent = || Program::new("sh").arguments(["-c", program, "parent", "{data}"]);
        for orderly in [false, true] {
            let node = Node::start(parent()).await.unwrap();
            let child: u32 = std::fs::read_to_string(node.data().join("child"))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            assert!(runs(child));
            if orderly {
                node.terminate().await.unwrap();
            } else {
                node.kill().await.unwrap();
            }
            while runs(child) {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// A zombie does not.
fn runs(id: u32) -> bool {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &id.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

#[tokio::test]
async fn one_that_ends_or_cannot_be_run_says_why() {
    bounded(async {
        let dying = Program::new("sh").arguments(["-c", "echo the port is taken >&2; exit 3"]);
        let error = Node::start(dying).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ended);
        assert!(error.to_string().contains("the port is taken"), "{error}");
        let error = Node::start(Program::new("/nonexistent/server")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Start);
        let odd = Program::new("sh").arguments(["-c", "echo listening on nothing; sleep 1000"]);
        assert_eq!(Node::start(odd).await.unwrap_err().kind(), ErrorKind::Start);
    })
    .await;
}

#[tokio::test]
async fn a_bare_one_has_only_the_environment_it_is_given() {
    bounded(async {
        let program = "/bin/sh";
        let script = "echo home=$HOME given=$GIVEN; echo listening on http://127.0.0.1:1; sleep 1000";
        let bare = Program::new(program)
            .arguments(["-c", script])
            .variable("GIVEN", "{port}")
            .bare();
        let node = Node::start(bare.variable("PATH", "/usr/bin:/bin")).await.unwrap();
        let logs = node.logs().await.unwrap();
        assert!(
            logs.starts_with("home= given=1") || logs.starts_with("home= given=2") || logs.starts_with("home= given=3")
        );
    })
    .await;
}

/// The image of Redis has a shell, and is there already.
#[tokio::test]
async fn a_server_in_an_image_is_as_one_on_this_machine() {
    if !Backend::Docker.is_available().await {
        eprintln!("docker is not available here");
        return;
    }
    bounded(async {
        let node = Node::start(in_an_image()).await.unwrap();
        assert!(node.process_id().is_none());
        let url = node.url().to_owned();
        node.kill().await.unwrap();
        assert_eq!(node.ended().await.unwrap().unwrap().code(), Some(137));
        node.restart().await.unwrap();
        assert_eq!(node.url(), url);
        assert_eq!(node.logs().await.unwrap().matches("listening on").count(), 2);
        node.pause().await.unwrap();
        assert_eq!(node.terminate().await.unwrap().code(), Some(7));
        assert_eq!(node.unpause().await.unwrap_err().kind(), ErrorKind::NotRunning);

        let nowhere = Program::of_image("localhost:1/no/such:image");
        assert_eq!(Node::start(nowhere).await.unwrap_err().kind(), ErrorKind::Docker);
    })
    .await;
}

fn in_an_image() -> Program {
    Program::of_image("redis:7.0.15")
        .arguments(["sh", "-c", SERVER, "server", "{data}"])
        .variable("PORT", "{port}")
}

/// A server that is asked whether it is ready: by GET of a path.
struct Asked {
    /// The answers it gives, the last one for ever.
    answers: &'static [&'static str],
    given: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Launch for Asked {
    fn program(&self) -> PathBuf {
        Path::new("sleep").into()
    }

    fn arguments(&self, place: &Place) -> Vec<OsString> {
        // The port is really free, though it is claimed.
        let listener = std::net::TcpListener::bind(("127.0.0.1", place.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (answers, given, requests) = (self.answers, Arc::clone(&self.given), Arc::clone(&self.requests));
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = vec![0; 1000];
                let length = connection.read(&mut request).await.unwrap();
                requests
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&request[..length]).into_owned());
                let number = given.fetch_add(1, Ordering::Relaxed);
                let answer = answers[number.min(answers.len() - 1)];
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        vec!["1000".into()]
    }

    fn ready(&self) -> Ready {
        Ready::Http("/ready".into())
    }
}

#[tokio::test]
async fn one_that_is_asked_is_ready_when_it_answers_well() {
    bounded(async {
        let asked = Asked {
            answers: &[
                "",
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                "garbage that is long enough\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ],
            given: Arc::default(),
            requests: Arc::default(),
        };
        let (given, requests) = (Arc::clone(&asked.given), Arc::clone(&asked.requests));
        let node = Node::start(asked).await.unwrap();
        assert_eq!(given.load(Ordering::Relaxed), 4);
        assert_eq!(node.url(), format!("http://{}", node.address()));
        assert!(
            requests
                .lock()
                .unwrap()
                .iter()
                .all(|request| request.starts_with("GET /ready HTTP/1.1\r\nHost: "))
        );
    })
    .await;
}
