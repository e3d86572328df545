//! The program as a whole, on real servers, judged by its ledger alone: how long anything takes, a busy machine decides.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use chat_loadtest::latency::Kind;
use chat_loadtest::result::{Outcome, RunResult, SCHEMA, merge};

/// Runs it as in a small image, where no certificates are: none of these servers needs any.
fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
        .args(arguments)
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The exit code of a run that could not be made.
const NOT_MADE: i32 = 3;

/// Plays a smoke run of few users who say little, unless more is said.
fn play(directory: &Path, more: &[&str]) -> Output {
    let report = directory.to_str().unwrap();
    let mut arguments = vec!["run", "--quiet", "--report", report];
    for usual in [["--profile", "smoke"], ["--rate", "40"], ["--users", "8"]] {
        // A trace says its own rate.
        let said = usual[0] == "--rate" && more.contains(&"--trace");
        if !said && !more.contains(&usual[0]) {
            arguments.extend(usual);
        }
    }
    arguments.extend(more);
    program(&arguments)
}

/// Plays a smoke run and returns its result.
#[track_caller]
fn smoke(directory: &Path, more: &[&str]) -> RunResult {
    judged(directory, &play(directory, more))
}

/// The result of a smoke run, which must keep to the schema and balance.
#[track_caller]
fn judged(directory: &Path, output: &Output) -> RunResult {
    // Not quick enough, or not surely so: that is the machine's.
    written(directory, output, &[0, 1, 4, 5])
}

/// The same, of a run that ended with one of these codes.
#[track_caller]
fn written(directory: &Path, output: &Output, codes: &[i32]) -> RunResult {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|code| codes.contains(&code)),
        "{:?}: {said}",
        output.status
    );
    for file in ["report.html", "junit.xml", "summary.md", "goose.html", "goose.json"] {
        assert!(!text(&directory.join(file)).is_empty(), "{file}");
    }
    let json: serde_json::Value = serde_json::from_str(&text(&directory.join("result.json"))).unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let result = RunResult::read(&directory.join("result.json")).unwrap();
    assert!(result.ledger.is_clean(), "{:?}", result.ledger);
    result
}

#[test]
fn a_smoke_run_on_sqlite_balances() {
    let directory = tempfile::tempdir().unwrap();
    let result = smoke(directory.path(), &["--scenario", "dm"]);
    assert!(
        result.ledger.sent > 200 && result.ledger.read_back == result.ledger.sent,
        "{:?}",
        result.ledger
    );
    assert!(
        result.usage.iter().any(|usage| usage.sockets == Some(8)),
        "{:?}",
        result.usage
    );
    let html = text(&directory.path().join("report.html"));
    assert!(
        !html.contains("http-equiv") && !html.contains("src="),
        "it needs nothing from anywhere"
    );
}

#[test]
fn a_smoke_run_on_two_nodes_with_mongodb_and_redis_balances() {
    let directory = tempfile::tempdir().unwrap();
    let result = smoke(directory.path(), &["--scenario", "dm", "--stack", "cluster"]);
    assert!(result.ledger.sent > 200, "{:?}", result.ledger);
    assert_eq!(result.target.nodes.len(), 2);
}

#[test]
fn every_scenario_balances() {
    for (scenario, more) in [
        ("fanout", &["--partners", "3", "--devices", "3"][..]),
        ("mixed", &[]),
        ("reconnect", &[]),
        ("reader", &[]),
        ("presence", &[]),
        // Each has a password to be hashed.
        ("login-storm", &["--rate", "2"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut arguments = vec!["--scenario", scenario];
        arguments.extend(more);
        let result = smoke(directory.path(), &arguments);
        assert!(
            result.ledger.sent > 20 || ["reader", "presence", "login-storm"].contains(&scenario),
            "{scenario}: {:?}",
            result.ledger
        );
        if scenario == "presence" {
            for kind in [Kind::Typing, Kind::Status] {
                assert!(result.latencies[&kind].summary.count > 5, "{kind:?}");
            }
        }
        if scenario == "fanout" {
            assert!(result.ledger.owed >= 3 * result.ledger.sent, "{:?}", result.ledger);
        }
    }
}

/// What was due in each of the ten seconds that a profile took.
fn offered(profile: &str) -> (RunResult, [u64; 10]) {
    let directory = tempfile::tempdir().unwrap();
    // Up to sixteen times as much.
    let rate = if profile == "stress" { "30" } else { "60" };
    let options = ["--profile", profile, "--for", "10s", "--rate", rate];
    let result = smoke(directory.path(), &options);
    let mut offered = [0; 10];
    for (at, second) in result.tally.seconds() {
        match offered.get_mut(at as usize) {
            Some(offered) => *offered = second.offered,
            None => assert_eq!(second.offered, 0, "{profile}: nothing is due after its end"),
        }
    }
    (result, offered)
}

#[test]
fn every_profile_offers_the_shape_that_it_is_named_for() {
    let profiles = ["ramp", "steady", "spike", "soak", "stress"];
    // Each has a server of its own, and they say little.
    let played: Vec<_> = std::thread::scope(|scope| {
        let playing = profiles.map(|profile| scope.spawn(move || offered(profile)));
        playing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (profile, (result, offered)) in profiles.into_iter().zip(&played) {
        let of = |seconds: std::ops::Range<usize>| {
            let length = seconds.len() as f64;
            offered[seconds].iter().sum::<u64>() as f64 / length
        };
        // What is by chance is far less than what is asked here.
        let (first, last) = (of(0..2), of(8..10));
        let fits = match profile {
            // Up to 60, from nothing.
            "ramp" => last > 3.0 * first && last < 80.0,
            // 60, of which the warm-up is a tenth and the fiftieth part.
            "steady" | "soak" => of(2..6) < 1.5 * of(6..10) && of(6..10) < 1.5 * of(2..6),
            // Five times as much from 3.5 s to 5.2 s.
            "spike" => of(4..5) > 3.0 * of(1..3) && of(4..5) > 3.0 * last,
            // 30, 60, 120, 240, 480.
            _ => last > 10.0 * first && of(4..6) > 2.0 * first,
        };
        assert!(fits, "{profile}: {offered:?}");
        assert_eq!(result.drift.is_empty(), profile != "soak", "{:?}", result.drift);
    }
}

#[test]
fn a_trace_is_played_as_it_was_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace.csv");
    let moments = (0..30).map(|number| format!("{}\n", if number < 25 { 0.5 } else { 2.25 }));
    std::fs::write(&trace, "# seconds\n".to_owned() + &moments.collect::<String>()).unwrap();
    let report = directory.path().join("report");
    let options = ["--scenario", "dm", "--trace", trace.to_str().unwrap()];
    let result = smoke(&report, &options);
    let offered: Vec<_> = result
        .tally
        .seconds()
        .map(|(at, second)| (at, second.offered))
        .collect();
    let due: Vec<_> = offered.into_iter().filter(|(_, offered)| *offered > 0).collect();
    assert_eq!(due, [(0, 25), (2, 5)]);
    assert_eq!(result.ledger.sent, 30);
}

/// The parts of a run that begins in so many seconds; none when one of them could not be made, most likely because it was not
/// ready by then.
fn in_three(directory: &Path, url: &str, seconds: i64) -> Option<Vec<RunResult>> {
    let start = chat_protocol::Timestamp::now().as_millis() + seconds * 1000;
    let start = chat_protocol::Timestamp::from_millis(start).to_string();
    let places = [1, 2, 3].map(|index| directory.join(index.to_string()));
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let playing: Vec<_> = (1..)
            .zip(&places)
            .map(|(index, place)| {
                let start = start.as_str();
                scope.spawn(move || {
                    let shard = format!("{index}/3");
                    let more = ["--shard", &shard, "--seed", "7", "--start-at", start, "--url", url];
                    play(place, &more)
                })
            })
            .collect();
        playing.into_iter().map(|part| part.join().unwrap()).collect()
    });
    if outputs.iter().any(|output| output.status.code() == Some(NOT_MADE)) {
        for output in &outputs {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        return None;
    }
    let played = places.iter().zip(&outputs);
    // Whatever it found: the whole alone is judged.
    Some(played.map(|(place, output)| written(place, output, &[0])).collect())
}

#[test]
fn three_generators_play_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let server = chat_server_process();
    // Who is not ready when the others begin does not play: then all agree on a later start.
    let parts = [10, 30, 120]
        .into_iter()
        .find_map(|seconds| in_three(directory.path(), &server.url, seconds))
        .expect("one of them was never ready");
    let whole = merge(&parts).unwrap();
    assert!(whole.ledger.is_clean());
    assert_eq!(whole.size.users, 8);
    // The server's clock is theirs.
    let clock = whole.clock.unwrap();
    assert!(clock.low <= 0.0 && 0.0 <= clock.high, "{clock:?}");
    assert_eq!(
        whole.ledger.sent,
        parts.iter().map(|part| part.ledger.sent).sum::<u64>()
    );
    let report = directory.path().join("whole");
    let files: Vec<String> = (1..=3)
        .map(|index| {
            directory
                .path()
                .join(format!("{index}/result.json"))
                .display()
                .to_string()
        })
        .collect();
    let mut arguments = vec!["merge", "--report", report.to_str().unwrap()];
    arguments.extend(files.iter().map(String::as_str));
    assert!(matches!(program(&arguments).status.code(), Some(0 | 1 | 4 | 5)));
    let merged = RunResult::read(&report.join("result.json")).unwrap();
    assert_eq!((merged.latencies, merged.tally), (whole.latencies, whole.tally));
}

#[test]
fn a_report_made_anew_leaves_other_results_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let result = smoke(directory.path(), &["--scenario", "dm"]);
    let base = RunResult {
        seed: result.seed + 1,
        ..result.clone()
    };
    base.write(&path("base.json")).unwrap();
    let report_of = |result: &'static str, more: &[&Path]| {
        let mut arguments = vec!["report", result];
        arguments.extend(more.iter().map(|path| path.to_str().unwrap()));
        Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap()
    };
    let report = |more: &[&Path]| report_of("base.json", more);
    let seed = |name: &str| RunResult::read(&path(name)).unwrap().seed;
    for more in [&[][..], &[Path::new("--report"), Path::new(".")]] {
        assert_eq!(report(more).status.code(), Some(0));
        assert_eq!((seed("result.json"), seed("base.json")), (result.seed, base.seed));
        assert!(text(&path("report.html")).contains(&format!(">{}<", base.seed)));
    }
    // Elsewhere it is a copy of all of it, but for what goose wrote.
    assert_eq!(
        report(&[Path::new("--report"), Path::new("other")]).status.code(),
        Some(0)
    );
    assert_eq!(seed("other/result.json"), base.seed);
    assert!(!text(&path("other/report.html")).contains("goose.html"));
    // What its figures do not come to is not repeated.
    let mut edited = RunResult {
        seed: base.seed + 1,
        ..base.clone()
    };
    edited.verdict.outcome = Outcome::Passed;
    edited.ledger.told -= 1;
    edited.write(&path("edited.json")).unwrap();
    let reported = report_of("edited.json", &[Path::new("--report"), Path::new("edited")]);
    let said = String::from_utf8_lossy(&reported.stderr);
    assert!(said.contains("its figures come to \"failed\""), "{said}");
    assert!(text(&path("edited/report.html")).contains("the ledger's sums do not fit"));
    assert!(text(&path("edited/junit.xml")).contains("<failure"));
    // Where another result is, it stays.
    let refused = report_of("result.json", &[Path::new("--report"), Path::new("other")]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(seed("other/result.json"), base.seed);
}

#[test]
fn directories_of_runs_are_compared_and_none_of_them_twice() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut result = smoke(&path("once"), &["--scenario", "dm"]);
    // How a busy machine did is not what this is about.
    result.verdict.outcome = Outcome::Passed;
    result.generator.overrun = 0;
    let write = |name: &str, seed: u64, lost: u64| {
        let mut run = RunResult { seed, ..result.clone() };
        run.ledger.lost = lost;
        std::fs::create_dir_all(path(name)).unwrap();
        run.write(&path(name).join("result.json")).unwrap();
    };
    let compare = |base: &str, new: &str| {
        let output = program(&["compare", path(base).to_str().unwrap(), path(new).to_str().unwrap()]);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said.concat())
    };
    // Its own result counts beside those of its directories; what else lies there does not.
    for (name, seed) in [("base", 1), ("base/1", 2), ("base/2", 3), ("new/1", 4), ("new/2", 5)] {
        write(name, seed, 0);
    }
    std::fs::create_dir_all(path("new/logs")).unwrap();
    std::fs::write(path("new/report.html"), "of a run").unwrap();
    let (code, said) = compare("base", "new");
    assert!(matches!(code, Some(0 | 5)), "{said}");
    assert!(said.contains("base, 3 runs") && said.contains("new, 2 runs"), "{said}");
    // A file is one run, as ever.
    let (code, said) = compare("base/result.json", "new/1/result.json");
    assert!(matches!(code, Some(0 | 5)) && !said.contains("base, "), "{said}");
    write("new/3", 6, 1);
    let (code, said) = compare("base", "new");
    assert!(code == Some(1) && said.contains("new/3/result.json"), "{said}");
    write("new/3", 4, 0);
    let (code, said) = compare("base", "new");
    assert!(code == Some(NOT_MADE) && said.contains("new/3/result.json"), "{said}");
    assert_eq!(compare("base", "new/logs").0, Some(2));
    let (base, new) = (path("base/1"), path("new/1"));
    let nowhere = path("nowhere/summary.md");
    let arguments = [&*base, &*new, Path::new("--markdown"), &*nowhere].map(|part| part.to_str().unwrap());
    let output = program(&[&["compare"], &arguments[..]].concat());
    assert_eq!(output.status.code(), Some(NOT_MADE));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nowhere/summary.md"), "{said}");
}

#[test]
fn other_peoples_servers_are_not_loaded() {
    let output = program(&["run", "--url", "http://198.51.100.7:3000"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--i-own-this-target"));
}

#[test]
fn bad_usage_and_bad_files_are_told_apart_from_failures() {
    assert_eq!(program(&["run", "--shard", "4/3"]).status.code(), Some(2));
    assert_eq!(program(&["run", "--rate", "-1"]).status.code(), Some(2));
    // Parts that begin when they please are not one run.
    let alone = program(&["run", "--shard", "1/3", "--seed", "1", "--url", "http://127.0.0.1:1"]);
    assert_eq!(alone.status.code(), Some(2));
    assert_eq!(
        program(&["compare", "/nonexistent", "/nonexistent"]).status.code(),
        Some(2)
    );
    assert_eq!(program(&["run", "--url", "http://127.0.0.1:1"]).status.code(), Some(3));
    let schema = program(&["schema"]);
    assert_eq!(schema.stdout, SCHEMA.as_bytes());
}

#[test]
fn a_search_refuses_what_it_cannot_make_before_anything_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let weights = directory.path().join("weights.toml");
    std::fs::write(&weights, "history = 3\nchats = 1\n").unwrap();
    for bad in [
        &["--repeats", "2"][..],
        &["--trials", "0"],
        &["--width", "1"],
        &["--start", "inf"],
        &["--start-at", "2026-01-31T12:00:00Z"],
        &["--scenario", "presence"],
        &["--scenario", "mixed", "--weights", weights.to_str().unwrap()],
    ] {
        // A server that is not there: what gets as far as to ask it, says that the run could not be made.
        let mut arguments = vec!["capacity", "--url", "http://127.0.0.1:1"];
        arguments.extend(bad);
        assert_eq!(program(&arguments).status.code(), Some(2), "{bad:?}");
    }
    let nobody = program(&["capacity", "--url", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(NOT_MADE));
}

#[test]
fn options_that_goose_cannot_be_given_are_refused_before_anything_is_started() {
    for (bad, said) in [
        (&["--bogus"][..], "--bogus"),
        (&["--threshold", "garbage"], "garbage"),
        (&["--users", "5"], "--users before the --"),
        (&["--run-time", "5s"], "--for"),
    ] {
        for command in ["run", "capacity"] {
            let mut arguments = vec![command, "--url", "http://127.0.0.1:1", "--"];
            arguments.extend(bad);
            let output = program(&arguments);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{bad:?}: {text}");
            assert!(text.contains(said), "{bad:?}: {text}");
        }
    }
}

#[test]
fn what_cannot_be_kept_or_seen_is_said_before_anything_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let server = chat_server_process();
    let below = file.join("below").display().to_string();
    let metrics = server.url.clone() + "/metrics";
    for (options, code, said) in [
        (&["--report", &below][..], NOT_MADE, "below"),
        (&["--people", &below], NOT_MADE, "below"),
        (&["--start-at", "2026-01-31T12:00:00Z"], 2, "--start-at"),
        (&["--metrics-url", &metrics], NOT_MADE, "--metrics-url"),
        (&["--rate", "1e12"], 2, "--rate"),
        (&["--silent", "99999999"], 2, "--silent"),
    ] {
        let mut arguments = vec!["run", "--url", &server.url];
        arguments.extend(options);
        if !options.contains(&"--report") {
            arguments.extend(["--report", directory.path().to_str().unwrap()]);
        }
        let output = program(&arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {text}");
        assert!(text.contains(said), "{options:?}: {text}");
    }
}

#[test]
fn tokens_that_end_before_the_run_does_are_said_before_it() {
    let directory = tempfile::tempdir().unwrap();
    // Ten seconds, and as long as what is under way may take.
    let server = chat_server_process_on("0", &["--jwt-expires-in", "20s"]);
    let output = play(directory.path(), &["--url", &server.url, "--users", "2"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(NOT_MADE), "{said}");
    assert!(said.contains("JWT_EXPIRES_IN"), "{said}");
}

/// The file still has accounts and tokens, and the server on that address knows neither.
#[test]
fn people_of_a_server_that_began_anew_are_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("people.json").display().to_string();
    let run = |url: &str| {
        let options = ["--url", url, "--users", "2", "--rate", "20", "--people", &file];
        smoke(directory.path(), &options)
    };
    let day = ["--jwt-expires-in", "24h"];
    let server = chat_server_process_on("0", &day);
    let url = server.url.clone();
    run(&url);
    let before = text(&directory.path().join("people.json"));
    run(&url);
    assert_eq!(text(&directory.path().join("people.json")), before, "good ones stay");
    drop(server);
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/');
    let _again = chat_server_process_on(port, &day);
    let result = run(&url);
    assert!(result.ledger.sent > 20, "{:?}", result.ledger);
    assert_ne!(text(&directory.path().join("people.json")), before);
}

#[test]
fn a_threshold_that_fails_fails_the_run_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let rule = "p50<1us for SIO deliver";
    let output = play(directory.path(), &["--scenario", "dm", "--", "--threshold", rule]);
    assert_eq!(
        output.stdout.windows(8).filter(|text| text == b"launched").count(),
        0,
        "it is --quiet"
    );
    // A machine that is too slow makes it invalid.
    let result = written(directory.path(), &output, &[1, 4]);
    assert!(!result.cut_short);
    assert!(
        result.thresholds.iter().any(|failed| failed.contains(rule)),
        "{:?}",
        result.thresholds
    );
    assert!(
        result.verdict.reasons.iter().any(|reason| reason.contains(rule)),
        "{:?}",
        result.verdict
    );
    assert_eq!(
        result.verdict.outcome == Outcome::Failed,
        output.status.code() == Some(1)
    );
}

#[test]
fn a_run_in_which_nothing_is_due_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().to_str().unwrap();
    let output = program(&[
        "run", "--rate", "0.0001", "--for", "2s", "--users", "2", "--quiet", "--report", report,
    ]);
    let result = RunResult::read(&directory.path().join("result.json")).unwrap();
    assert_eq!(output.status.code(), Some(4), "{:?}", result.verdict);
    assert_eq!(result.verdict.outcome, Outcome::Invalid);
}

struct Server {
    url: String,
    child: std::process::Child,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program as the server, as it starts itself.
fn chat_server_process() -> Server {
    chat_server_process_on("0", &[])
}

fn chat_server_process_on(port: &str, more: &[&str]) -> Server {
    use std::io::BufRead as _;
    let data = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat-loadtest"))
        .args([
            "__serve",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--env-file",
            "/nonexistent",
            "--log-level",
            "error",
        ])
        .args([
            "--rate-limit-max-requests",
            "0",
            "--auth-rate-limit-max-requests",
            "0",
            "--socket-rate-limit-max-events",
            "0",
        ])
        .args(more)
        .arg("--data-dir")
        .arg(data.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    Server {
        url: line.trim().trim_start_matches("listening on ").to_owned(),
        child,
        _data: data,
    }
}
