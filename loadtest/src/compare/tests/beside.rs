//! What decides beside intervals, or keeps them from it.

use super::*;
use crate::schedule::Pattern;

#[test]
fn what_one_second_or_few_values_tell_decides_nothing() {
    let ran = ran(20, 0, 1);
    let compared = |count, seconds| {
        let base = connected(&ran, 10, count, seconds);
        compare(&base, &connected(&ran, 20, count, seconds), 0.05).unwrap()
    };
    let judged = |comparison: &Comparison, quantile: &str| {
        let what = format!("connect {quantile} in ms");
        let mut lines = comparison.lines.iter();
        lines.find(|line| line.what == what).map(|line| line.judgement)
    };
    let first = compared(4000, 1);
    assert_eq!(first.outcome, Judgement::Same);
    assert_eq!(judged(&first, "p50"), Some(Judgement::TooFew));
    assert!(first.sentence().contains("Of 2 figures"), "{}", first.sentence());
    // As many as tell of the median, and not of one in a hundred.
    let some = compared(400, 20);
    assert_eq!(some.outcome, Judgement::Worse);
    assert_eq!(judged(&some, "p50"), Some(Judgement::Worse));
    assert_eq!(judged(&some, "p99"), Some(Judgement::TooFew));
    let all = compared(4000, 20);
    assert_eq!(judged(&all, "p99"), Some(Judgement::Worse));
    // Where hardly anything was delivered, the rest makes no verdict.
    let hardly = |millis: u64| {
        let mut recorder = Recorder::default();
        for number in 0..400 {
            recorder.record(&Sample {
                kind: Kind::Deliver,
                due: Duration::from_millis(number * 50),
                took: Duration::from_millis(millis),
                error: None,
                measured: true,
            });
        }
        let rows = recorder.rows();
        RunResult {
            latencies: rows.map(|(kind, row)| (kind, row.into())).collect(),
            ..ran.clone()
        }
    };
    let outcome = |base, new| compare(&hardly(base), &hardly(new), 0.05).unwrap().outcome;
    assert_eq!(outcome(20, 20), Judgement::Unsure);
    assert_eq!(outcome(20, 10), Judgement::Unsure);
    assert_eq!(outcome(20, 40), Judgement::Worse);
}

#[test]
fn what_came_late_or_only_by_asking_and_broken_connections_are_worse() {
    let base = ran(20, 0, 1);
    let compared = |change: fn(&mut RunResult)| {
        let mut new = base.clone();
        change(&mut new);
        assert!(new.balances());
        let compared = compare(&base, &new, 0.05).unwrap();
        (compared.outcome, compared.remarks)
    };
    let told = |remark: &str| (Judgement::Worse, vec![remark.to_owned()]);
    assert_eq!(
        compared(|run| {
            run.ledger.told -= 2000;
            run.ledger.caught_up += 2000;
        }),
        told("2000 of 4000 deliveries were only found in the history, 0 of 4000 before")
    );
    assert_eq!(
        compared(|run| run.ledger.late = 2000),
        told("2000 of 4000 deliveries came late, 0 of 4000 before")
    );
    assert_eq!(
        compared(|run| run.generator.disconnects = 500),
        told("500 of 4 devices lost their connection, each time counted, 0 of 4 before")
    );
    let (outcome, remarks) = compared(|run| (run.ledger.late, run.generator.disconnects) = (3, 1));
    assert_eq!((outcome, remarks.len()), (Judgement::Same, 0));
}

#[test]
fn another_pattern_or_trace_is_another_run() {
    let base = ran(20, 0, 1);
    let refused = |pattern, trace: Option<&str>| {
        let new = RunResult {
            pattern,
            trace: trace.map(str::to_owned),
            ..base.clone()
        };
        match compare(&base, &new, 0.05) {
            Ok(_) => None,
            Err(CompareError::Different { what, .. }) => Some(what),
            Err(other) => unreachable!("{other}"),
        }
    };
    assert_eq!(refused(Some(Pattern::Poisson), None), None);
    assert_eq!(refused(Some(Pattern::Constant), None), Some("pattern"));
    // A result of before it was written down.
    assert_eq!(refused(None, None), None);
    let traced = |trace: &str| RunResult {
        pattern: None,
        trace: Some(trace.into()),
        ..base.clone()
    };
    assert!(compare(&traced("a"), &traced("a"), 0.05).is_ok());
    assert!(matches!(
        compare(&traced("a"), &traced("b"), 0.05),
        Err(CompareError::Different { what: "trace", .. })
    ));
}

#[test]
fn another_target_and_a_busier_machine_are_said() {
    let base = ran(20, 0, 1);
    let remarks = |change: fn(&mut RunResult)| {
        let mut new = base.clone();
        new.environment.cores = 2;
        let base = new.clone();
        change(&mut new);
        compare(&base, &new, 0.05).unwrap().remarks
    };
    assert_eq!(
        remarks(|run| run.target.kind = "a running server".into()),
        ["the base is of a server, and the new one of a running server"]
    );
    // Its address may be another, not how many it has.
    assert!(remarks(|run| run.target.nodes = vec!["http://127.0.0.1:2/".into()]).is_empty());
    assert_eq!(
        remarks(|run| run.target.nodes.push("http://127.0.0.1:2/".into())),
        ["the base is of a server, and the new one of a server at 2 addresses"]
    );
    assert_eq!(
        remarks(|run| run.environment.load_before = 3.0),
        ["before the new one the machine was busier, with a load of 1.5 for each core, and 0.0 before the other"]
    );
    assert!(remarks(|run| run.environment.load_before = 0.8).is_empty());
}
