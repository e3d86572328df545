//! The search for the capacity, at a server that bears exactly so much.

use std::process::Command;

use chat_loadtest::result::RunResult;

use crate::server::{Faults, SPARE, Toy};

/// Of a trial, in seconds.
const TRIAL: u64 = 2;
/// At the same time: most of a trial is waiting.
const AT_ONCE: usize = 4;

/// One search among the tests; `CAPACITY_RUNS=20` for as many, at servers of as many capacities.
pub(crate) async fn what_a_server_bears_is_found() {
    let runs: usize = std::env::var("CAPACITY_RUNS").map_or(1, |text| text.parse().unwrap());
    let numbers: Vec<usize> = (0..runs).collect();
    for some in numbers.chunks(AT_ONCE) {
        let searches = some
            .iter()
            .map(|number| tokio::spawn(search(110.0 + 13.0 * *number as f64)));
        for search in searches.collect::<Vec<_>>() {
            search.await.unwrap();
        }
    }
}

async fn search(bears: f64) {
    let toy = Toy::start(Faults {
        bears: Some(bears),
        ..Faults::default()
    })
    .await;
    let (url, report) = (toy.base.to_string(), tempfile::tempdir().unwrap());
    let directory = report.path().to_owned();
    let searched = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
            .args(["capacity", "--url", &url, "--quiet", "--report"])
            .arg(&directory)
            .args([
                "--start",
                "80",
                "--trial",
                &format!("{TRIAL}s"),
                "--pattern",
                "constant",
            ])
            .args(["--users", "10", "--read-every", "0", "--drain", "20"])
            .output()
            .unwrap()
    });
    let output = searched.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let result = RunResult::read(&report.path().join("result.json")).unwrap_or_else(|_| panic!("{said}"));
    let found = result.capacity.unwrap();
    let upper = found.upper.unwrap();
    println!(
        "{bears}: {:.0} to {upper:.0}, {} trials",
        found.lower,
        found.trials.len()
    );
    // What is measured of a trial, four fifths, may have all that is spare besides.
    let most = bears + SPARE / (0.8 * TRIAL as f64);
    assert!(found.lower <= most && bears <= upper, "{bears}: {found:?}\n{said}");
}
