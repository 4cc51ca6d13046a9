//! A command whose time has passed before its owner began with it was not attempted, and its caller is told
//! so: on a log that can be held up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::assignment::Everything;
use eventsourcing::clock::System;
use eventsourcing::codec::{self, Parsed};
use eventsourcing::command::{Accepted, Context, Expected, Failure, Unavailable};
use eventsourcing::contract::account::{Account, Command, Insufficient};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest, Offset};
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::owner::{self, Config, OwnerError, Service, Settings};
use eventsourcing::record::Record;
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::topic::{Topic, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(30);

/// A log whose appends wait while it is held up.
struct HeldUp {
    log: SimulatedLog,
    held: watch::Receiver<bool>,
}

#[async_trait]
impl Log for HeldUp {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        let mut held = self.held.clone();
        held.wait_for(|held| !held).await.expect("the test lives");
        self.log.append(to, records).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(from).await
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.log.bounds(of).await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.log.partitions(of).await
    }
}

/// One owner with batches of one command, so that the third one waits in the mailbox.
struct Shop {
    log: SimulatedLog,
    at: TopicPartition,
    hold: watch::Sender<bool>,
    service: Service<Account>,
    running: JoinHandle<Result<(), OwnerError>>,
    shutdown: CancellationToken,
}

impl Shop {
    async fn open() -> Self {
        let (log, topic) = (
            SimulatedLog::new(1, 1, Faults::NONE),
            Topic::events("deadline", "accounts"),
        );
        let (hold, held) = watch::channel(false);
        let settings = Settings {
            log: Arc::new(HeldUp {
                log: log.clone(),
                held,
            }),
            environment: Arc::new(System),
            topic: topic.clone(),
            partitions: 1,
            node: "test".to_owned(),
            url: "http://127.0.0.1:0".to_owned(),
            routes: None,
            source: "/test".to_owned(),
            config: Config {
                batch_commands_max: 1,
                ..Config::default()
            },
        };
        let shutdown = CancellationToken::new();
        let at = topic.partition(0);
        let assignment = Box::new(Everything::of(vec![at.clone()]));
        let (service, running) = owner::spawn(settings, None, assignment, shutdown.clone());
        let mut status = service.status();
        status.wait_for(|status| status.serving == 1).await.expect("runs");
        Self {
            log,
            at,
            hold,
            service,
            running,
            shutdown,
        }
    }

    async fn deposit(&self, key: &str, limit: Duration) -> Result<Accepted, Failure<Insufficient>> {
        let account: AggregateId = "a".parse().expect("an id");
        let context = Context {
            id: CommandId::of_key("test", key),
            digest: Digest::of(&[key.as_bytes()]),
            expected: Expected::Any,
            correlation: key.into(),
            causation: None,
            actor: "tester".into(),
            traceparent: None,
        };
        self.service
            .execute_within(account, Command::Deposit(1), context, limit)
            .await
    }

    /// The request ids of all events in the log.
    async fn events(&self) -> Vec<String> {
        let end = self.log.bounds(&self.at).await.expect("readable").end;
        let mut reader = self
            .log
            .reader(vec![(self.at.clone(), Offset(0))])
            .await
            .expect("readable");
        let mut records = Vec::new();
        while (records.len() as u64) < end.0 {
            records.extend(reader.next(100).await.expect("readable"));
        }
        let events = records.iter().filter_map(|stored| {
            let Parsed::Event(envelope) = codec::parse(stored).expect("well formed") else {
                return None;
            };
            let recorded = codec::decode::<eventsourcing::contract::account::Moved>(stored, envelope);
            Some(recorded.expect("decodes").meta.correlation.to_string())
        });
        events.collect()
    }
}

fn not_attempted(outcome: &Result<Accepted, Failure<Insufficient>>) -> Option<Unavailable> {
    match outcome {
        Err(Failure::NotAttempted { reason, .. }) => Some(*reason),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waited_past_its_deadline_was_not_attempted() {
    let shop = Shop::open().await;
    shop.hold.send_replace(true);
    let late = async {
        // Behind the two others, which are in flight and decided.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let asked = tokio::time::Instant::now();
        let outcome = shop.deposit("late", LIMIT).await;
        assert_eq!(asked.elapsed(), LIMIT, "the caller has his answer in time");
        assert_eq!(
            not_attempted(&outcome),
            Some(Unavailable::Overloaded),
            "{outcome:?}"
        );
        // There is room again, and time for all.
        shop.hold.send_replace(false);
    };
    let (first, second, ()) = tokio::join!(shop.deposit("first", LONG), shop.deposit("second", LONG), late);
    first.expect("accepted");
    second.expect("accepted");
    // Its turn has come and gone: nothing of it is in the log, and its id stands for nothing.
    let after = shop.deposit("after", LONG).await.expect("accepted");
    assert_eq!(after.sequence.0, 3);
    assert_eq!(shop.events().await, ["first", "second", "after"]);
    let again = shop.deposit("late", LONG).await.expect("accepted now");
    assert!(!again.replayed, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_begun_is_in_doubt_at_its_deadline_and_has_one_outcome() {
    let shop = Shop::open().await;
    shop.hold.send_replace(true);
    let outcome = shop.deposit("begun", LIMIT).await;
    assert_eq!(outcome, Err(Failure::Unknown));
    shop.hold.send_replace(false);
    let again = shop.deposit("begun", LONG).await.expect("accepted");
    assert!(again.replayed, "{again:?}");
    assert_eq!(shop.events().await, ["begun"]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_stops_finishes_what_it_began_and_sends_the_rest_away() {
    let shop = Shop::open().await;
    shop.hold.send_replace(true);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let waiting = shop.deposit("waiting", LONG);
        let stop = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            shop.shutdown.cancel();
            // The owner hears of it before the log moves on.
            tokio::time::sleep(Duration::from_millis(10)).await;
            shop.hold.send_replace(false);
        };
        tokio::join!(waiting, stop).0
    };
    let (first, second, waiting) = tokio::join!(
        shop.deposit("first", LONG),
        shop.deposit("second", LONG),
        stopping
    );
    first.expect("it was in flight");
    second.expect("it was decided");
    assert_eq!(
        not_attempted(&waiting),
        Some(Unavailable::Stopping),
        "{waiting:?}"
    );
    shop.running.await.expect("no panic").expect("ends well");
    assert!(!shop.service.serves(&shop.at));
}
