//! The server that is measured against: this program again, as a process of its own, without limits.

use std::ffi::OsString;
use std::process::ExitCode;

use chat_testcontainers::{Node, Program};

const SERVE: &str = "serve";
/// Opens the metrics of a server that lives as long as the measurement.
const METRICS: &str = "opens-the-metrics-of-this-run";

/// `Some`: this process is the server, and has ended.
pub(crate) fn become_it() -> Option<ExitCode> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_none_or(|first| first != SERVE) {
        return None;
    }
    args.remove(1);
    Some(chat_server::cli::run(args))
}

/// On a free port and a directory of its own, which it keeps when it is started again.
pub(crate) async fn start() -> Node {
    let program = std::env::current_exe().expect("this program");
    let off = [
        "--rate-limit-max-requests",
        "--auth-rate-limit-max-requests",
        "--socket-rate-limit-max-events",
    ];
    let server = Program::new(program)
        .bare()
        .arguments([SERVE, "--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{data}"])
        .arguments(["--env-file", "/nonexistent"])
        .arguments(off.iter().flat_map(|limit| [limit, "0"]))
        // Sessions live through a restart.
        .variable("JWT_SECRET", "signs access tokens of a server that is measured")
        .variable("JWT_REFRESH_SECRET", "signs refresh tokens of a server that is measured")
        .variable("METRICS_TOKEN", METRICS);
    Node::start(server).await.expect("a server")
}

/// How many requests the server has answered since it was started, its metrics apart.
pub(crate) async fn requests(http: &reqwest::Client, server: &Node) -> u64 {
    let url = format!("{}/metrics", server.url());
    let answer = http.get(url).bearer_auth(METRICS).send().await.expect("its metrics");
    let text = answer.text().await.expect("its metrics");
    let counts = text
        .lines()
        .filter(|line| line.starts_with("chat_request_seconds_count{"));
    let counted = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counted.sum()
}
