//! The case about the last fence there can be.

use std::collections::BTreeSet;

use bytes::Bytes;
use uuid::Uuid;

use super::account::Command;
use super::node::{Node, accepted, account, context, history};
use super::{DEADLINE, Harness};
use crate::clock::{Environment, System};
use crate::codec::{self, Fence};
use crate::command::Failure;
use crate::ids::{AggregateId, CommandId, Epoch, OwnerId};
use crate::record::Record;
use crate::rule::Rule;
use crate::topic::partition_of;

/// Commands on their way while the partition is sealed.
const COMMANDS: usize = 200;

fn fence(epoch: Epoch) -> Record {
    let fence = Fence {
        epoch,
        owner: OwnerId(Uuid::from_u128(7)),
        node: "seal".to_owned(),
        url: String::new(),
    };
    codec::encode_fence(&Bytes::from_static(b"/seal"), &fence, System.now())
}

/// Another account in another partition.
fn elsewhere(than: &AggregateId) -> AggregateId {
    let partition = |id: &AggregateId| partition_of(id, Harness::PARTITIONS);
    let mut others = (0..100).map(|number| account(&format!("other-{number}")));
    let other = others.find(|other| partition(other) != partition(than));
    other.expect("a hundred names fall into more than one partition")
}

/// Sealed under a live owner: what it has in flight is answered truthfully, then nobody serves the partition
/// again, and the others go on.
pub async fn a_sealed_partition_is_served_by_nobody_any_more(harness: Harness) {
    let (node, id) = (Node::start(&harness).await, account("a"));
    let at = harness.topic.partition(partition_of(&id, Harness::PARTITIONS));
    node.execute(&id, Command::Deposit(1), context("first"))
        .await
        .expect("accepted");

    let keys: Vec<String> = (0..COMMANDS).map(|number| number.to_string()).collect();
    let sending = keys
        .iter()
        .map(|key| node.execute(&id, Command::Deposit(1), context(key)));
    let (answers, _) = tokio::join!(
        futures::future::join_all(sending),
        harness.append(&at, vec![fence(Epoch::LAST)])
    );
    let there: BTreeSet<CommandId> = accepted(&harness, &id)
        .await
        .iter()
        .map(|(_, meta, _)| meta.command)
        .collect();
    for (key, answer) in keys.iter().zip(answers) {
        let command = context(key).id;
        match answer {
            Ok(_) => assert!(there.contains(&command), "{key} was acknowledged"),
            Err(Failure::NotAttempted { .. }) => assert!(!there.contains(&command), "{key} was refused"),
            Err(Failure::Unknown) => {}
            Err(other) => panic!("{key}: {other:?}"),
        }
    }

    // Whoever had nothing in flight learns of it with the next command.
    let last = node.execute(&id, Command::Deposit(1), context("last")).await;
    assert!(matches!(last, Err(Failure::NotAttempted { .. })), "{last:?}");
    let mut serves = node.service.watch(&at).expect("a partition of the topic");
    let let_go = tokio::time::timeout(DEADLINE, serves.wait_for(|serves| !serves)).await;
    let_go.expect("in time").expect("runs");

    // Nothing opens it again, whatever is written behind the seal.
    harness
        .append(&at, vec![fence(Epoch(2)), fence(Epoch::LAST)])
        .await;
    let next = Node::starting(&harness);
    let mut status = next.service.status();
    let others = status.wait_for(|status| status.serving == status.total - 1);
    let others = tokio::time::timeout(DEADLINE, others).await;
    others.expect("in time").expect("runs");
    let refused = next.execute(&id, Command::Deposit(1), context("next")).await;
    assert!(
        matches!(refused, Err(Failure::NotAttempted { .. })),
        "{refused:?}"
    );
    let elsewhere = elsewhere(&id);
    next.execute(&elsewhere, Command::Deposit(1), context("elsewhere"))
        .await
        .expect("the other partitions go on");

    let mut rule = Rule::default();
    for stored in history(&harness, &id).await {
        rule.judge(codec::parse(&stored).expect("well formed").claim());
    }
    assert!(rule.is_sealed());
    assert_eq!(
        accepted(&harness, &id).await.len(),
        there.len(),
        "nothing came after"
    );
    node.stop().await;
    next.stop().await;
}
