//! What the generator itself costs, for each message: the schedule, the stamp, the recorder, the ledger.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chat_loadtest::bootstrap;
use chat_loadtest::latency::{Kind, Recorder, Sample};
use chat_loadtest::ledger::{Checked, Conversation, Fate, History, Inbox, Outbox, Stored, Told, settle};
use chat_loadtest::schedule::{Arrivals, Curve, Pattern, Phase, Share};
use chat_loadtest::stamp::{RunMark, Stamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MESSAGES: u32 = 100_000;

fn sample(number: u32) -> Sample {
    Sample {
        kind: Kind::Deliver,
        due: Duration::from_micros(u64::from(number) * 100),
        took: Duration::from_micros(u64::from(number) * 7919 % 50_000),
        error: None,
        measured: true,
    }
}

fn schedule(criterion: &mut Criterion) {
    let curve = Arc::new(Curve::new(vec![Phase::steady(
        "steady",
        Duration::from_secs(1_000_000),
        1000.0,
    )]));
    let share = Share { user: 3, users: 100 };
    let mut arrivals = Arrivals::along(curve, Pattern::Poisson, share, 1);
    criterion.bench_function("schedule: the next moment", |bencher| {
        bencher.iter(|| black_box(arrivals.next()))
    });
}

fn stamp(criterion: &mut Criterion) {
    let stamp = Stamp {
        run: RunMark::random(),
        stream: 4711,
        number: 123_456,
        due: Duration::from_micros(123_456_789),
    };
    criterion.bench_function("stamp: write 100 characters", |bencher| {
        bencher.iter(|| black_box(black_box(stamp).content(100)))
    });
    let content = stamp.content(100);
    criterion.bench_function("stamp: read 100 characters", |bencher| {
        bencher.iter(|| Stamp::read(black_box(&content), stamp.run, 100).unwrap())
    });
}

fn recorder(criterion: &mut Criterion) {
    let samples: Vec<Sample> = (0..10_000).map(sample).collect();
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(samples.len() as u64));
    let mut recorder = Recorder::default();
    group.bench_function("10,000 samples", |bencher| {
        bencher.iter(|| samples.iter().for_each(|sample| recorder.record(sample)))
    });
    group.finish();
    let row = recorder.row(Kind::Deliver).unwrap().clone();
    criterion.bench_function("bootstrap: an interval of p99", |bencher| {
        bencher.iter(|| bootstrap::quantile(row.seconds.values().map(|(histogram, _)| histogram), 0.99, 0.95, 1))
    });
}

fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(u64::from(MESSAGES)));
    let fill = || {
        let (mut outbox, mut inbox) = (Outbox::new(1), Inbox::new(1));
        for number in 0..MESSAGES {
            outbox.send();
            inbox.tell(number, Some(u64::from(number) + 1), Told::Live);
            outbox.answer(number, Fate::Acked(Some(u64::from(number) + 1)));
        }
        (outbox, inbox)
    };
    group.bench_function("100,000 messages sent, told, acked", |bencher| {
        bencher.iter(|| black_box(fill()))
    });
    let (outbox, inbox) = fill();
    let items = (0..MESSAGES).map(|number| Stored {
        seq: Some(u64::from(number) + 1),
        message: Some((1, number)),
    });
    let history = Conversation {
        after: 0,
        items: items.collect(),
    };
    group.bench_function("100,000 messages settled", |bencher| {
        bencher.iter(|| {
            let streams = [Checked {
                outbox: &outbox,
                inboxes: vec![&inbox],
            }];
            settle(&streams, History::Read(&history))
        })
    });
    group.finish();
}

criterion_group!(benches, schedule, stamp, recorder, ledger);
criterion_main!(benches);
