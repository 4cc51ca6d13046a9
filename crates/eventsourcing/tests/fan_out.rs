//! Readers that share what they read at the head of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eventsourcing::fan_out::FanOut;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::record::{Record, Stored};
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::topic::{Topic, TopicPartition};

/// Far more batches than a slow reader may be behind.
const MANY: u64 = 200;

/// Counts the readers that are open.
struct Counted {
    log: SimulatedLog,
    open: Arc<AtomicUsize>,
}

struct Open {
    reader: Box<dyn Reader>,
    open: Arc<AtomicUsize>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Reader for Open {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        self.reader.next(max).await
    }
}

#[async_trait]
impl Log for Counted {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        self.log.append(to, records).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let reader = self.log.reader(from).await?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Open {
            reader,
            open: Arc::clone(&self.open),
        }))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.log.bounds(of).await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.log.partitions(of).await
    }
}

struct World {
    log: FanOut,
    open: Arc<AtomicUsize>,
    at: TopicPartition,
    appended: u64,
}

impl World {
    fn new() -> Self {
        let open = Arc::<AtomicUsize>::default();
        let log = FanOut::new(Arc::new(Counted {
            log: SimulatedLog::new(1, 1, Faults::NONE),
            open: Arc::clone(&open),
        }));
        let at = Topic::events("fan", "accounts").partition(0);
        Self {
            log,
            open,
            at,
            appended: 0,
        }
    }

    async fn append(&mut self) {
        let value = Bytes::from(self.appended.to_string());
        let record = Record {
            key: Bytes::from_static(b"key"),
            value,
            headers: Vec::new(),
        };
        let appended = self.log.append(&self.at, vec![record]).await;
        assert_eq!(appended, Appended::At(vec![Offset(self.appended)]));
        self.appended += 1;
    }

    async fn reader(&self, from: u64) -> Box<dyn Reader> {
        let from = vec![(self.at.clone(), Offset(from))];
        self.log.reader(from).await.expect("readable")
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Reads the records `from..to`, each once and in order.
async fn reads(reader: &mut dyn Reader, from: u64, to: u64) {
    let mut next = from;
    while next < to {
        let reading = tokio::time::timeout(Duration::from_secs(5), reader.next(7));
        let records = reading.await.expect("in time").expect("readable");
        assert!((1..=7).contains(&records.len()));
        for stored in records {
            assert_eq!(stored.offset, Offset(next));
            assert_eq!(stored.record.value, next.to_string());
            next += 1;
        }
    }
    assert_eq!(next, to);
}

#[tokio::test(start_paused = true)]
async fn those_at_the_head_are_served_by_one_reader() {
    let mut world = World::new();
    world.append().await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(world.reader(1).await);
    }
    assert_eq!(world.open(), 1);
    world.append().await;
    for reader in &mut readers {
        reads(&mut **reader, 1, 2).await;
    }
    drop(readers);
    // The last one takes it along.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_behind_reads_by_itself_until_it_is_not() {
    let mut world = World::new();
    for _ in 0..MANY {
        world.append().await;
    }
    let mut reader = world.reader(3).await;
    assert_eq!(world.open(), 2, "one at the head, one from where it stands");
    reads(&mut *reader, 3, MANY).await;
    world.append().await;
    reads(&mut *reader, MANY, MANY + 1).await;
    assert_eq!(world.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_falls_behind_misses_nothing() {
    let mut world = World::new();
    let (mut quick, mut slow) = (world.reader(0).await, world.reader(0).await);
    for number in 0..MANY {
        world.append().await;
        reads(&mut *quick, number, number + 1).await;
    }
    assert_eq!(world.open(), 1);
    reads(&mut *slow, 0, MANY).await;
    world.append().await;
    reads(&mut *slow, MANY, MANY + 1).await;
    reads(&mut *quick, MANY, MANY + 1).await;
    assert_eq!(world.open(), 1, "both are at the head");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_the_place_refuses_it() {
    let mut world = World::new();
    world.append().await;
    let _head = world.reader(1).await;
    let refused = match world.log.reader(vec![(world.at.clone(), Offset(9))]).await {
        Ok(mut reader) => reader.next(1).await.err(),
        Err(error) => Some(error),
    };
    assert!(
        matches!(refused, Some(LogError::OutOfRange { asked: Offset(9), .. })),
        "{refused:?}"
    );
}
