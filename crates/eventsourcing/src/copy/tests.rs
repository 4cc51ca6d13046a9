use std::borrow::Cow;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::clock::{Environment, System};
use crate::codec::{Fence, Parsed, encode_fence};
use crate::ids::OwnerId;
use crate::simulated::{Faults, SimulatedLog};
use crate::topic::Topic;

const SMALL: Config = Config {
    batch_records_max: 7,
    batch_bytes_max: 400,
};

struct Silent;

impl Progress for Silent {
    fn copied(&self, _: u64, _: u64) {}
    fn compared(&self, _: u64, _: u64) {}
}

fn at() -> TopicPartition {
    Topic::events("shop", "orders").partition(0)
}

fn record(number: u64) -> Record {
    Record {
        key: Bytes::from(format!("order-{}", number % 5)),
        value: Bytes::from(format!(r#"{{"number":{number}}}"#)),
        headers: vec![(Cow::Borrowed("number"), Bytes::from(number.to_string()))],
    }
}

async fn filled(numbers: impl IntoIterator<Item = u64>) -> SimulatedLog {
    let log = SimulatedLog::new(1, 1, Faults::NONE);
    log.append(&at(), numbers.into_iter().map(record).collect()).await;
    log
}

async fn copy(source: &SimulatedLog, target: &SimulatedLog) -> Result<PartitionCopy, CopyError> {
    let mut copy = PartitionCopy::resume(source, target, &at(), &Silent).await?;
    copy.catch_up(source, target, SMALL, &Silent).await?;
    Ok(copy)
}

fn equal(left: &SimulatedLog, right: &SimulatedLog) -> bool {
    left.records(&at()) == right.records(&at())
}

#[tokio::test(start_paused = true)]
async fn every_record_lies_at_its_offset_and_a_second_run_copies_what_came_since() {
    let (source, target) = (filled(0..100).await, filled([]).await);
    let first = copy(&source, &target).await.expect("copies");
    assert!(equal(&source, &target));
    source.append(&at(), (100..130).map(record).collect()).await;
    let second = copy(&source, &target).await.expect("goes on");
    assert!(equal(&source, &target));
    assert_eq!((first.end(), second.end()), (Offset(100), Offset(130)));
    assert_ne!(first.hash(), second.hash());
    let whole = copy(&source, &filled([]).await).await.expect("copies");
    assert_eq!(whole.hash(), second.hash(), "whatever way it came there");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_holds_something_else_is_refused_at_the_first_offset_that_differs() {
    let source = filled(0..50).await;
    let target = filled((0..20).chain([99]).chain(21..40)).await;
    let refused = copy(&source, &target).await.map(|copy| copy.end());
    assert!(
        matches!(
            &refused,
            Err(CopyError::Differs {
                offset: Offset(20),
                what: "the key",
                ..
            })
        ),
        "{refused:?}"
    );
    let refused = copy(&source, &filled(0..51).await).await.map(|copy| copy.end());
    assert!(
        matches!(
            &refused,
            Err(CopyError::Differs {
                offset: Offset(50),
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_record_is_compared() {
    let mut value = record(3);
    value.value = Bytes::from_static(b"{}");
    let mut headers = record(3);
    headers.headers.push((Cow::Borrowed("more"), Bytes::new()));
    let mut key = record(3);
    key.key = Bytes::new();
    for (changed, part) in [(value, "the value"), (headers, "the headers"), (key, "the key")] {
        let (source, target) = (filled(0..5).await, filled(0..3).await);
        target.append(&at(), vec![changed]).await;
        let refused = copy(&source, &target).await.map(|copy| copy.end());
        assert!(
            matches!(&refused, Err(CopyError::Differs { offset: Offset(3), what, .. }) if *what == part),
            "{part}: {refused:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_is_noticed_at_the_next_batch() {
    let (source, target) = (filled(0..20).await, filled([]).await);
    let mut running = PartitionCopy::resume(&source, &target, &at(), &Silent)
        .await
        .expect("empty");
    target.append(&at(), vec![record(77)]).await;
    let refused = running.catch_up(&source, &target, SMALL, &Silent).await;
    assert!(
        matches!(refused, Err(CopyError::Intruder { found: Offset(1), .. })),
        "{refused:?}"
    );
}

/// Killed again and again, over a target that loses acknowledgements and lets batches arrive late: a copy that
/// says it is done is equal, always. It may be refused where a batch of a killed run arrived behind the next
/// one; that is seldom, and never silent.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_killed_at_any_point_ends_equal_or_refused() {
    let (mut done, mut refused) = (0, 0);
    for seed in 0..400 {
        let mut random = StdRng::seed_from_u64(seed);
        let source = filled(0..120).await;
        let faults = Faults {
            ack_lost: 0.1,
            late: 0.05,
            split: 0.2,
            unavailable: 0.05,
            delay_ms_max: 20,
            ..Faults::NONE
        };
        let away = Faults {
            unavailable: 0.05,
            ..Faults::NONE
        };
        source.set_faults(away);
        let target = SimulatedLog::new(seed, 1, faults);
        let ended = loop {
            let life = Duration::from_millis(random.random_range(0..800));
            let (from, to) = (source.clone(), target.clone());
            match tokio::time::timeout(life, async { copy(&from, &to).await }).await {
                Ok(ended) => break ended.map(|copy| copy.end()),
                // Killed. Started again at once, or after what was on its way has arrived.
                Err(_) if random.random_bool(0.9) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(_) => {}
            }
        };
        match ended {
            Ok(end) => {
                assert!(equal(&source, &target), "seed {seed}: not equal");
                assert_eq!(end, Offset(120));
                done += 1;
            }
            Err(CopyError::Differs { .. } | CopyError::Intruder { .. }) => refused += 1,
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(done > 300, "{done} done, {refused} refused");
}

/// An event as an owner of the shop writes it, in the first epoch.
fn fence(environment: &dyn Environment) -> (OwnerId, Record) {
    let owner = OwnerId(environment.fresh());
    let fence = Fence {
        epoch: Rule::default().epoch().next(),
        owner,
        node: "shop".to_owned(),
        url: String::new(),
    };
    (
        owner,
        encode_fence(&Bytes::from_static(b"/shop"), &fence, environment.now()),
    )
}

#[tokio::test(start_paused = true)]
async fn a_closed_copy_ends_with_a_fence_and_can_be_taken_up_again() {
    let (source, target) = (filled([]).await, filled([]).await);
    let (owner, fence) = fence(&System);
    source.append(&at(), vec![fence]).await;
    let mut running = copy(&source, &target).await.expect("copies");
    running.close(&target, &System).await.expect("closes");
    running.close(&target, &System).await.expect("is closed");
    let last = target.records(&at()).pop().expect("a fence");
    let Ok(Parsed::Fence(last)) = parse(&last) else {
        panic!("{last:?}");
    };
    assert_eq!(
        (last.epoch, last.node.as_str()),
        (running.rule.epoch().next(), NODE)
    );
    assert_ne!(last.owner, owner);
    assert_eq!(target.len(&at()), 2);
    // A run that was killed before it could say so is taken up, and changes nothing.
    let mut again = copy(&source, &target).await.expect("is taken up");
    assert_eq!((again.end(), again.hash()), (running.end(), running.hash()));
    again.close(&target, &System).await.expect("is closed");
    assert_eq!(target.len(&at()), 2);
    // But not when the source went on.
    source.append(&at(), vec![record(1)]).await;
    let refused = copy(&source, &target).await.map(|copy| copy.end());
    assert!(matches!(&refused, Err(CopyError::Differs { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_came_before_the_closing_fence_is_noticed() {
    let (source, target) = (filled(0..3).await, filled([]).await);
    let mut running = copy(&source, &target).await.expect("copies");
    target.append(&at(), vec![record(2)]).await;
    let refused = running.close(&target, &System).await;
    assert!(
        matches!(refused, Err(CopyError::Intruder { found: Offset(4), .. })),
        "{refused:?}"
    );
}
