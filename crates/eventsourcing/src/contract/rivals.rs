//! The cases about owners that are not alone: rivals, zombies, damage.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::account::{Command, Moved};
use super::node::{Node, accepted, account, context};
use super::{DEADLINE, Harness, record};
use crate::clock::{Environment, System};
use crate::codec::{self, EventHead, Fence, Meta};
use crate::command::{Failure, Unavailable};
use crate::ids::{CommandId, Digest, Epoch, OwnerId, Sequence};
use crate::owner::OwnerError;
use crate::rule::Term;

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
        let outcomes = futures::future::join_all(pair).await;
        let first = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Ok(accepted) if !accepted.replayed));
        assert!(first.count() <= 1, "one event, one first answer: {outcomes:?}");
        successes += usize::from(outcomes.iter().any(Result::is_ok));
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
    let last = accepted(&harness, &id).await.pop().expect("an event").0;
    assert_eq!(told.map(|position| position.offset), Some(last));
    let never = node
        .service
        .wait_until(&id, |balance| *balance > 3, Duration::from_millis(20))
        .await;
    assert_eq!(never, None);
    node.stop().await;
}
