//! A partition goes from one owner to the next: served until the fence, and by one of them at any time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::clock::System;
use eventsourcing::command::{Accepted, Context, Expected, Failure, Unavailable};
use eventsourcing::contract::account::{Account, Command, Insufficient};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{CommandId, Digest};
use eventsourcing::log::Log;
use eventsourcing::memory::REMEMBERED_MAX;
use eventsourcing::owner::{self, Config, Service, Settings};
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::topic::Topic;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const HANDOVER_MAX: Duration = Duration::from_secs(3);

/// What the test says.
struct Told(mpsc::UnboundedReceiver<AssignmentChange>);

#[async_trait]
impl Assignment for Told {
    async fn next(&mut self) -> Option<AssignmentChange> {
        self.0.recv().await
    }
}

struct Node {
    tell: mpsc::UnboundedSender<AssignmentChange>,
    service: Service<Account>,
}

impl Node {
    fn start(log: &SimulatedLog, topic: &Topic) -> Self {
        let settings = Settings {
            log: Arc::new(log.clone()),
            environment: Arc::new(System),
            topic: topic.clone(),
            partitions: 1,
            node: "test".to_owned(),
            url: "http://127.0.0.1:0".to_owned(),
            routes: None,
            source: "/test".to_owned(),
            config: Config {
                handover_max: HANDOVER_MAX,
                ..Config::default()
            },
        };
        let (tell, told) = mpsc::unbounded_channel();
        let (service, _running) =
            owner::spawn(settings, None, Box::new(Told(told)), CancellationToken::new());
        Self { tell, service }
    }

    fn told(&self, change: AssignmentChange) {
        self.tell.send(change).expect("listens");
    }

    async fn serves(&self, now: bool) {
        let mut status = self.service.status();
        status
            .wait_for(|status| (status.serving == 1) == now)
            .await
            .expect("runs");
    }

    async fn deposit(&self, key: &str) -> Result<Accepted, Failure<Insufficient>> {
        let (account, context) = ("a".parse().expect("an id"), context(key));
        self.service.execute(account, Command::Deposit(1), context).await
    }

    async fn repeat(&self, key: &str) -> Result<Accepted, Failure<Insufficient>> {
        let (account, context) = ("a".parse().expect("an id"), context(key));
        self.service
            .repeat_within(account, Command::Deposit(1), context, HANDOVER_MAX)
            .await
    }
}

/// A log without faults, and its topic of one partition.
fn ground(seed: u64) -> (SimulatedLog, Topic) {
    let topic = Topic::events("handover", "accounts");
    (SimulatedLog::new(seed, 1, Faults::NONE), topic)
}

fn context(key: &str) -> Context {
    Context {
        id: CommandId::of_key("test", key),
        digest: Digest::of(&[key.as_bytes()]),
        expected: Expected::Any,
        correlation: key.into(),
        causation: None,
        actor: "tester".into(),
        traceparent: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_served_until_the_next_owner_fences() {
    let (log, topic) = ground(3);
    let at = || topic.partition(0);
    let (old, new) = (Node::start(&log, &topic), Node::start(&log, &topic));
    old.told(AssignmentChange::Assigned(at()));
    old.serves(true).await;
    old.deposit("1").await.expect("accepted");

    old.told(AssignmentChange::Revoked(at()));
    tokio::time::sleep(HANDOVER_MAX / 2).await;
    old.deposit("2").await.expect("nobody else is there yet");

    new.told(AssignmentChange::Assigned(at()));
    new.serves(true).await;
    let void = old.deposit("3").await;
    let deposed = Err(Failure::NotAttempted {
        reason: Unavailable::Deposed,
        retry_after: Duration::from_secs(1),
    });
    assert_eq!(void, deposed, "the fence has decided");
    let again = new.deposit("3").await.expect("accepted");
    assert_eq!((again.sequence.0, again.replayed), (3, false));
    // The old owner does not fight for it, whatever time goes by.
    old.serves(false).await;
    tokio::time::sleep(HANDOVER_MAX * 2).await;
    assert!(!old.service.serves(&at()));
    new.deposit("4").await.expect("still its own");
}

/// In a hurry of a group that loses and finds its members, two may have a partition, and the one that fenced last gives it up. The
/// routes name that one: the other must notice, though nobody asks it anything.
#[tokio::test(start_paused = true)]
async fn an_owner_that_nobody_asks_notices_who_came_after_it() {
    let (log, topic) = ground(5);
    let at = || topic.partition(0);
    let (stays, goes) = (Node::start(&log, &topic), Node::start(&log, &topic));
    stays.told(AssignmentChange::Assigned(at()));
    stays.serves(true).await;
    goes.told(AssignmentChange::Assigned(at()));
    goes.serves(true).await;
    goes.told(AssignmentChange::Lost(at()));
    goes.serves(false).await;
    let end = async || log.bounds(&at()).await.expect("answers").end;
    let before = end().await;
    tokio::time::timeout(HANDOVER_MAX * 2, async {
        // Its third fence is its own again.
        while end().await == before {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("in time");
    stays.serves(true).await;
    stays.deposit("1").await.expect("it is the owner");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_takes_is_let_go_in_time() {
    let (log, topic) = ground(4);
    let node = Node::start(&log, &topic);
    let at = || topic.partition(0);
    node.told(AssignmentChange::Assigned(at()));
    node.serves(true).await;
    let revoked = tokio::time::Instant::now();
    node.told(AssignmentChange::Revoked(at()));
    node.serves(false).await;
    assert_eq!(revoked.elapsed(), HANDOVER_MAX);
    // A partition that was lost is let go at once.
    node.told(AssignmentChange::Assigned(at()));
    node.serves(true).await;
    let lost = tokio::time::Instant::now();
    node.told(AssignmentChange::Lost(at()));
    node.serves(false).await;
    assert_eq!(lost.elapsed(), Duration::ZERO);
}

/// What may have been accepted and forgotten is not decided anew: nothing is done twice that was not asked twice.
#[tokio::test(start_paused = true)]
async fn a_command_that_may_have_been_forgotten_stays_in_doubt() {
    let (log, topic) = ground(5);
    let node = Node::start(&log, &topic);
    node.told(AssignmentChange::Assigned(topic.partition(0)));
    node.serves(true).await;
    // Everything is still remembered, so what is not was never accepted.
    let first = node.repeat("lost on its way").await.expect("accepted");
    assert!(!first.replayed);
    for number in 0..REMEMBERED_MAX {
        node.deposit(&number.to_string()).await.expect("accepted");
    }
    assert_eq!(node.repeat("lost on its way").await, Err(Failure::Unknown));
    assert_eq!(node.repeat("never arrived").await, Err(Failure::Unknown));
    let known = node.repeat("7").await.expect("remembered");
    assert!(known.replayed);
    node.deposit("of no doubt").await.expect("decided");
}
