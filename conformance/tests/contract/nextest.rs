//! One server of each stack for all processes of a run of nextest.
//!
//! The first process starts it under a file lock and leaves its addresses in a file. A small shell ends it when the runner is
//! gone, however that ended.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chat_conformance::launch::{Databases, SERVE, Stack};

/// How long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Runs a server ("$@") and ends it when the runner ($0) is gone; then removes what the run has left ($1).
const WATCH: &str = r#"
trap '' INT TERM HUP
place=$1
shift
"$@" &
server=$!
while kill -0 "$0" 2>/dev/null && kill -0 "$server" 2>/dev/null; do sleep 1; done
kill -9 "$server" 2>/dev/null
rm -rf "$place"
"#;

/// The nodes that all processes of this run share; none where each process is a run of its own.
pub(crate) async fn nodes(stack: Stack, databases: &Databases) -> Result<Option<Vec<String>>, String> {
    let Ok(run) = std::env::var("NEXTEST_RUN_ID") else {
        return Ok(None);
    };
    let all = std::env::temp_dir().join(format!("chat-conformance-{run}"));
    let place = all.join(stack.name());
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    fs::create_dir_all(&place).map_err(failed)?;
    let lock = File::create(place.join("lock")).map_err(failed)?;
    // Others wait here until the first has started it.
    lock.lock().map_err(failed)?;
    let file = place.join("nodes");
    if let Ok(known) = fs::read_to_string(&file) {
        return Ok(Some(known.lines().map(str::to_owned).collect()));
    }
    let variables = databases.variables(&format!("conformance_{}", stack.name()));
    let mut nodes = Vec::new();
    for number in 0..stack.nodes() {
        let data = place.join(format!("data-{number}"));
        fs::create_dir_all(&data).map_err(failed)?;
        nodes.push(start(&all, &data, &variables).await?);
    }
    fs::write(&file, nodes.join("\n")).map_err(failed)?;
    Ok(Some(nodes))
}

async fn start(place: &Path, data: &Path, variables: &[(&'static str, String)]) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(failed)?
        .port();
    let log = File::create(data.join("log")).map_err(failed)?;
    let runner = std::os::unix::process::parent_id();
    Command::new("/bin/sh")
        .arg("-c")
        .arg(WATCH)
        .arg(runner.to_string())
        .arg(place)
        .arg(std::env::current_exe().map_err(failed)?)
        .args([
            SERVE,
            "--host",
            "127.0.0.1",
            "--env-file",
            "/nonexistent",
            "--node-env",
            "test",
            "--log-level",
            "error",
        ])
        .args(["--port", &port.to_string()])
        .arg("--data-dir")
        .arg(data)
        .args([
            "--rate-limit-max-requests",
            "0",
            "--auth-rate-limit-max-requests",
            "0",
            "--socket-rate-limit-max-events",
            "0",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let began = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if began.elapsed() > READY_WITHIN {
            return Err(format!(
                "the shared server is not ready; its log is in {}",
                data.display()
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(format!("http://127.0.0.1:{port}"))
}
