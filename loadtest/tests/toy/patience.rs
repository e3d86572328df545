//! How long the load tests wait for what is late.

use std::process::Command;
use std::time::Duration;

use chat_loadtest::latency::Kind;
use chat_loadtest::result::RunResult;

use crate::server::{Faults, Toy};

/// More than the SDK waits for an answer when nothing else is said, and less than the drain lasts.
const SERVICE: Duration = Duration::from_secs(21);

/// In a process of its own, beside which others may load something.
pub(crate) async fn what_is_answered_in_the_drain_is_late_and_not_unanswered() {
    let toy = Toy::start(Faults {
        service: Some([SERVICE; 2]),
        ..Faults::default()
    })
    .await;
    let (url, report) = (toy.base.to_string(), tempfile::tempdir().unwrap());
    let directory = report.path().to_owned();
    let played = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
            .args(["run", "--url", &url, "--quiet", "--report"])
            .arg(&directory)
            .args(["--profile", "smoke", "--for", "2s", "--rate", "20", "--users", "4"])
            .args(["--pattern", "constant", "--read-every", "0", "--drain", "120"])
            .output()
            .unwrap()
    });
    let output = played.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let result = RunResult::read(&report.path().join("result.json")).unwrap_or_else(|_| panic!("{said}"));
    assert!(result.ledger.sent > 20, "{:?}", result.ledger);
    assert!(result.ledger.is_clean(), "{:?}", result.ledger);
    let acks = &result.latencies[&Kind::Ack];
    assert!(
        acks.summary.count > 20 && acks.summary.p50 >= SERVICE.as_secs_f64() * 1000.0 * 0.99,
        "{:?}",
        acks.summary
    );
}
