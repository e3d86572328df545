use super::*;
use crate::cast::Shard;
use crate::profile::trial;
use crate::scenario::{Scenario, Size};
use crate::schedule::Pattern;
use crate::stamp::RunMark;

/// A run whose devices have no accounts, so that none of them can connect.
fn hopeless() -> Order {
    let size = Size {
        users: 2,
        partners: 1,
        devices: 1,
        silent: 0,
    };
    let script = Script {
        cast: Arc::new(Scenario::Dm.cast(&size, Shard::WHOLE)),
        weights: Scenario::Dm.weights(),
        load: Load::Curve(Arc::new(trial(1.0, Duration::from_secs(1))), Pattern::Constant),
        seed: 1,
        mark: RunMark::random(),
        length: 48,
        read_every: 0,
        may_disconnect: false,
        late_after: Duration::from_secs(1),
        answer_within: Duration::from_secs(1),
        nodes: vec!["http://127.0.0.1:1".parse().unwrap()],
    };
    Order {
        script,
        name: "hopeless",
        people: Vec::new(),
        resources: Resources::default(),
        connects_per_second: 100,
        drain_within: Duration::from_secs(1),
        start_at: None,
        goose: Vec::new(),
        watch: None,
    }
}

// One test: goose runs once at a time in a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ended_by_itself_leaves_ctrl_c_as_it_was_and_an_end_by_somebody_stays() {
    let ended = play(hopeless()).await.err();
    assert!(
        matches!(
            ended,
            Some(AttackError::Connect {
                connected: 0,
                devices: 2,
                ..
            })
        ),
        "{ended:?}"
    );
    assert!(!was_interrupted(), "the next Ctrl-C would be taken for the second");
    // As goose does at a Ctrl-C between two runs.
    goose::trigger_killswitch("SIGINT received");
    let ended = play(hopeless()).await.err();
    assert!(matches!(ended, Some(AttackError::Interrupted)), "{ended:?}");
    assert!(was_interrupted());
    goose::reset_killswitch();
}
