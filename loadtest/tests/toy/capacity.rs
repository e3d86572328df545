//! The search for the capacity, at a server that bears exactly so much.

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
    let trial = format!("{TRIAL}s");
    let mut options = vec!["--start", "80", "--trial", &trial, "--pattern", "constant"];
    // Of 80 messages in a second, as many are beyond as tell of a quantile.
    options.extend([
        "--users",
        "10",
        "--read-every",
        "0",
        "--drain",
        "20",
        "--quantile",
        "0.8",
    ]);
    let (result, said) = crate::run(&toy, "capacity", &options).await;
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
