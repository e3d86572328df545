//! How long the load tests wait for what is late.

use std::time::Duration;

use chat_loadtest::latency::Kind;

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
    let mut options = vec!["--profile", "smoke", "--for", "2s", "--rate", "20", "--users", "4"];
    options.extend(["--pattern", "constant", "--read-every", "0", "--drain", "120"]);
    let (result, _) = crate::run(&toy, "run", &options).await;
    assert!(result.ledger.sent > 20, "{:?}", result.ledger);
    assert!(result.ledger.is_clean(), "{:?}", result.ledger);
    let acks = &result.latencies[&Kind::Ack];
    assert!(
        acks.summary.count > 20 && acks.summary.p50 >= SERVICE.as_secs_f64() * 1000.0 * 0.99,
        "{:?}",
        acks.summary
    );
}
