//! The cases about an owner on the log: the promises, on every adapter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::account::{Account, Command, Insufficient, Moved};
use super::{DEADLINE, Harness, record};
use crate::assignment::Everything;
use crate::clock::{Environment, System};
use crate::codec::{self, EventHead, Fence, Meta, Parsed};
use crate::command::{Accepted, Context, Expected, Failure, Unavailable};
use crate::dispatch::Dispatch;
use crate::ids::{AggregateId, CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use crate::owner::{self, Config, OwnerError, Service, Settings};
use crate::record::Stored;
use crate::rule::{Rule, Term, Verdict};

/// An owner of all partitions of the harness's topic.
struct Node {
    service: Service<Account>,
    running: JoinHandle<Result<(), OwnerError>>,
    shutdown: CancellationToken,
}

impl Node {
    async fn start(harness: &Harness) -> Self {
        let node = Self::starting(harness);
        let mut status = node.service.status();
        let serving = status.wait_for(|status| status.serving == status.total);
        tokio::time::timeout(DEADLINE, serving)
            .await
            .expect("serves in time")
            .expect("runs");
        node
    }

    fn starting(harness: &Harness) -> Self {
        let partitions = (0..Harness::PARTITIONS)
            .map(|number| harness.at(number))
            .collect();
        let settings = Settings {
            log: Arc::clone(&harness.log),
            environment: Arc::new(System),
            topic: harness.topic.clone(),
            partitions: Harness::PARTITIONS,
            node: "test".to_owned(),
            url: "http://127.0.0.1:0".to_owned(),
            source: "/test".to_owned(),
            config: Config {
                retry_pause: Duration::from_millis(20),
                ..Config::default()
            },
        };
        let shutdown = CancellationToken::new();
        let assignment = Box::new(Everything::of(partitions));
        let (service, running) = owner::spawn(settings, assignment, shutdown.clone());
        Self {
            service,
            running,
            shutdown,
        }
    }

    async fn execute(
        &self,
        account: &AggregateId,
        command: Command,
        context: Context,
    ) -> Result<Accepted, Failure<Insufficient>> {
        self.service.execute(account.clone(), command, context).await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.running)
            .await
            .expect("stops in time");
        ended.expect("no panic").expect("no error");
    }
}

fn account(name: &str) -> AggregateId {
    name.parse().expect("a valid id")
}

fn context(key: &str) -> Context {
    Context {
        id: CommandId::of_key("test", key),
        digest: Digest::of(key.as_bytes()),
        expected: Expected::Any,
        correlation: "request-1".into(),
        causation: None,
        actor: "tester".into(),
        traceparent: None,
    }
}

/// All records of the account's partition.
async fn history(harness: &Harness, of: &AggregateId) -> Vec<Stored> {
    let at = harness
        .topic
        .partition(crate::topic::partition_of(of, Harness::PARTITIONS));
    let end = harness.log.bounds(&at).await.expect("readable").end;
    let count = usize::try_from(end.0).expect("small");
    harness.read(&at, Offset(0), count).await
}

/// The accepted events of the account, as any reader sees them.
async fn accepted(harness: &Harness, of: &AggregateId) -> Vec<(Offset, Meta, Moved)> {
    let mut rule = Rule::default();
    let mut events = Vec::new();
    for stored in history(harness, of).await {
        let parsed = codec::parse(&stored).expect("well formed");
        if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed)
            && envelope.aggregate == *of
        {
            let recorded = codec::decode::<Moved>(&stored, envelope).expect("decodes");
            events.push((stored.offset, recorded.meta, recorded.event));
        }
    }
    events
}

/// P1: a success names the place where the event lies.
pub async fn an_accepted_command_is_in_the_log_at_its_position(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    for number in 1..=3 {
        let answer = node
            .execute(&id, Command::Deposit(number), context(&number.to_string()))
            .await;
        let answer = answer.expect("accepted");
        assert_eq!((answer.sequence, answer.replayed), (Sequence(number), false));
        let (offset, meta, _) = accepted(&harness, &id).await.pop().expect("an event");
        assert_eq!(
            (answer.position.offset, meta.sequence),
            (offset, Sequence(number))
        );
        assert_eq!(answer.position.service, harness.topic.service());
        assert_eq!((&*meta.correlation, &*meta.actor), ("request-1", "tester"));
    }
    node.stop().await;
}

/// P2: a refusal leaves no trace.
pub async fn a_refusal_writes_nothing(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let before = history(&harness, &id).await.len();
    let refused = node.execute(&id, Command::Withdraw(1), context("w")).await;
    assert_eq!(refused, Err(Failure::Refused(Insufficient { balance: 0 })));
    assert_eq!(history(&harness, &id).await.len(), before);
    node.stop().await;
}

/// P3: a repeat is answered like the original.
pub async fn a_repeat_gets_the_first_outcome(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let first = node
        .execute(&id, Command::Deposit(5), context("k"))
        .await
        .expect("accepted");
    let again = node
        .execute(&id, Command::Deposit(5), context("k"))
        .await
        .expect("accepted");
    assert_eq!(
        again,
        Accepted {
            replayed: true,
            ..first
        }
    );
    assert_eq!(accepted(&harness, &id).await.len(), 1);
    node.stop().await;
}

/// P3, all at once: the repeats wait for the one in flight.
pub async fn concurrent_repeats_make_one_event(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let repeats = (0..100).map(|_| node.execute(&id, Command::Deposit(5), context("k")));
    let answers = futures::future::join_all(repeats).await;
    let originals = answers.iter().flatten().filter(|answer| !answer.replayed).count();
    assert_eq!(
        (originals, answers.iter().flatten().count()),
        (1, 100),
        "{answers:?}"
    );
    assert_eq!(accepted(&harness, &id).await.len(), 1);
    node.stop().await;
}

/// A key names one request.
pub async fn the_same_key_with_another_request_is_refused(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    node.execute(&id, Command::Deposit(5), context("k"))
        .await
        .expect("accepted");
    let other = Context {
        digest: Digest::of(b"other"),
        ..context("k")
    };
    assert_eq!(
        node.execute(&id, Command::Deposit(6), other).await,
        Err(Failure::KeyReused)
    );
    assert_eq!(accepted(&harness, &id).await.len(), 1);
    node.stop().await;
}

/// `If-Match` names the sequence it was made for.
pub async fn a_wrong_expected_sequence_is_refused(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    node.execute(&id, Command::Deposit(5), context("1"))
        .await
        .expect("accepted");
    let expecting = |key: &str, sequence| Context {
        expected: Expected::Exactly(Sequence(sequence)),
        ..context(key)
    };
    let conflict = node.execute(&id, Command::Deposit(5), expecting("2", 0)).await;
    assert_eq!(conflict, Err(Failure::VersionConflict { current: Sequence(1) }));
    let answer = node
        .execute(&id, Command::Deposit(5), expecting("3", 1))
        .await
        .expect("accepted");
    assert_eq!(answer.sequence, Sequence(2));
    node.stop().await;
}

/// State and idempotency memory are folds of the log, so a restart changes nothing.
pub async fn a_new_owner_remembers_everything(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let first = node
        .execute(&id, Command::Deposit(5), context("k"))
        .await
        .expect("accepted");
    node.stop().await;
    let node = Node::start(&harness).await;
    let again = node
        .execute(&id, Command::Deposit(5), context("k"))
        .await
        .expect("accepted");
    assert_eq!(
        again,
        Accepted {
            replayed: true,
            ..first
        }
    );
    let refused = node.execute(&id, Command::Withdraw(6), context("w")).await;
    assert_eq!(refused, Err(Failure::Refused(Insufficient { balance: 5 })));
    node.stop().await;
}

/// P8: whoever was fenced off gets nothing in, and says so.
pub async fn a_deposed_owner_cannot_have_a_command_accepted(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    node.execute(&id, Command::Deposit(1), context("1"))
        .await
        .expect("accepted");
    let at = harness
        .topic
        .partition(crate::topic::partition_of(&id, Harness::PARTITIONS));
    let epoch = accepted(&harness, &id).await[0].1.term.epoch;
    let owner = OwnerId(Uuid::from_u128(7));
    let rival = Fence {
        epoch: epoch.next(),
        owner,
        node: "rival".to_owned(),
        url: String::new(),
    };
    let fence = codec::encode_fence(&Bytes::from_static(b"/rival"), &rival, System.now());
    harness.append(&at, vec![fence]).await;
    let deposed = node.execute(&id, Command::Deposit(2), context("2")).await;
    assert!(
        matches!(
            deposed,
            Err(Failure::NotAttempted {
                reason: Unavailable::Deposed,
                ..
            })
        ),
        "{deposed:?}"
    );
    let refused = node.execute(&id, Command::Withdraw(9), context("3")).await;
    assert!(!matches!(refused, Ok(_) | Err(Failure::Unknown)), "{refused:?}");
    assert_eq!(
        accepted(&harness, &id).await.len(),
        1,
        "only what came before the fence"
    );
    node.stop().await;
}

/// P8 with two real owners that both believe: every success is in the log, none twice.
pub async fn two_rivals_never_both_accept(harness: Harness) {
    let id = account("a");
    let nodes = [Node::start(&harness).await, Node::starting(&harness)];
    let mut successes = 0;
    for number in 0..60_usize {
        let key = number.to_string();
        let pair = nodes
            .iter()
            .map(|node| node.execute(&id, Command::Deposit(1), context(&key)));
        successes += usize::from(futures::future::join_all(pair).await.iter().any(Result::is_ok));
    }
    let events = accepted(&harness, &id).await;
    let commands: std::collections::BTreeSet<_> = events.iter().map(|(_, meta, _)| meta.command).collect();
    assert_eq!(commands.len(), events.len(), "no command twice");
    assert!(
        successes > 0 && events.len() >= successes,
        "{successes} of {}",
        events.len()
    );
    for (number, (_, meta, moved)) in (1..).zip(&events) {
        assert_eq!(
            (meta.sequence, moved.balance),
            (Sequence(number), number.cast_signed())
        );
    }
    for node in nodes {
        node.stop().await;
    }
}

/// A zombie's record lies in the log for ever and counts for nobody.
pub async fn a_void_record_changes_nothing(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    node.execute(&id, Command::Deposit(1), context("1"))
        .await
        .expect("accepted");
    let term = Term {
        epoch: Epoch(1),
        owner: OwnerId(Uuid::from_u128(666)),
    };
    let meta = Meta {
        sequence: Sequence(2),
        term,
        command: CommandId(Uuid::from_u128(1)),
        digest: Digest(0),
        correlation: "".into(),
        causation: None,
        actor: "zombie".into(),
    };
    let head = EventHead {
        aggregate: &id,
        time: System.now(),
        meta: &meta,
        traceparent: None,
    };
    let zombie = codec::encode_event(
        &Bytes::from_static(b"/z"),
        &head,
        &Moved {
            by: 100,
            balance: 101,
        },
    );
    let at = harness
        .topic
        .partition(crate::topic::partition_of(&id, Harness::PARTITIONS));
    harness.append(&at, vec![zombie]).await;
    let answer = node
        .execute(&id, Command::Deposit(2), context("2"))
        .await
        .expect("still serving");
    assert_eq!(answer.sequence, Sequence(2));
    let balances: Vec<i64> = accepted(&harness, &id)
        .await
        .iter()
        .map(|(_, _, moved)| moved.balance)
        .collect();
    assert_eq!(balances, [1, 3]);
    node.stop().await;
}

/// Nothing is skipped silently: the owner ends with the place in its error.
pub async fn a_corrupt_record_stops_the_owner_and_is_named(harness: Harness) {
    harness.append(&harness.at(1), vec![record("junk")]).await;
    let node = Node::starting(&harness);
    let ended = tokio::time::timeout(DEADLINE, node.running)
        .await
        .expect("ends in time");
    let error = ended.expect("no panic").expect_err("a corrupt record is fatal");
    let place = format!("{}@0", harness.at(1));
    assert!(
        matches!(error, OwnerError::Corrupt(_)) && error.to_string().contains(&place),
        "{error}"
    );
}

/// Waiting for a state needs no polling.
pub async fn a_waiter_is_told_when_the_state_is_committed(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let waiting = node.service.wait_until(&id, |balance| *balance >= 3, DEADLINE);
    let depositing = async {
        for number in 0..3 {
            node.execute(&id, Command::Deposit(1), context(&number.to_string()))
                .await
                .expect("accepted");
        }
    };
    let (told, ()) = tokio::join!(waiting, depositing);
    assert!(told);
    assert!(
        !node
            .service
            .wait_until(&id, |balance| *balance > 3, Duration::from_millis(20))
            .await
    );
    node.stop().await;
}
