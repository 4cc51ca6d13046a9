//! A reader that falls silent below the end of the log holds up an owner for a while, not for ever: neither one
//! that is to serve, nor one that is to stop.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::assignment::Everything;
use eventsourcing::clock::System;
use eventsourcing::contract::account::Account;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::owner::{self, Config, OwnerError, Service, Settings};
use eventsourcing::record::{Record, Stored};
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::topic::{Topic, TopicPartition};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Of a clock that does not make anybody wait.
const LONG: Duration = Duration::from_mins(2);

/// A log whose first readers never hand out anything.
struct Silent {
    log: SimulatedLog,
    readers: AtomicUsize,
    mute: usize,
}

struct Nothing;

#[async_trait]
impl Reader for Nothing {
    async fn next(&mut self, _max: usize) -> Result<Vec<Stored>, LogError> {
        pending().await
    }
}

#[async_trait]
impl Log for Silent {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        self.log.append(to, records).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        if self.readers.fetch_add(1, Ordering::Relaxed) < self.mute {
            return Ok(Box::new(Nothing));
        }
        self.log.reader(from).await
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.log.bounds(of).await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.log.partitions(of).await
    }
}

struct Node {
    log: Arc<Silent>,
    service: Service<Account>,
    running: JoinHandle<Result<(), OwnerError>>,
    shutdown: CancellationToken,
}

/// An owner of one partition on a log with so many silent readers.
fn node(mute: usize) -> Node {
    let log = Arc::new(Silent {
        log: SimulatedLog::new(1, 1, Faults::NONE),
        readers: AtomicUsize::new(0),
        mute,
    });
    let topic = Topic::events("silence", "accounts");
    let settings = Settings {
        log: Arc::clone(&log) as Arc<dyn Log>,
        environment: Arc::new(System),
        topic: topic.clone(),
        partitions: 1,
        node: "test".to_owned(),
        url: "http://127.0.0.1:0".to_owned(),
        routes: None,
        source: "/test".to_owned(),
        config: Config::default(),
    };
    let shutdown = CancellationToken::new();
    let assignment = Box::new(Everything::of(vec![topic.partition(0)]));
    let (service, running) = owner::spawn(settings, None, assignment, shutdown.clone());
    Node {
        log,
        service,
        running,
        shutdown,
    }
}

#[tokio::test(start_paused = true)]
async fn another_reader_takes_the_place_of_a_silent_one() {
    let node = node(2);
    let mut status = node.service.status();
    let serving = tokio::time::timeout(LONG, status.wait_for(|status| status.serving == 1));
    serving.await.expect("serves").expect("runs");
    assert_eq!(node.log.readers.load(Ordering::Relaxed), 3, "two were silent");
    node.shutdown.cancel();
    node.running.await.expect("no panic").expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_owner_before_a_silent_reader_can_be_stopped() {
    let node = node(usize::MAX);
    while node.log.readers.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    node.shutdown.cancel();
    let stopped = tokio::time::timeout(LONG, node.running);
    stopped
        .await
        .expect("stops")
        .expect("no panic")
        .expect("stops well");
}
