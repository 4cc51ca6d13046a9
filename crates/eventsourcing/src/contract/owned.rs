//! The cases about an owner on the log: the promises, on every adapter.

use super::Harness;
use super::account::{Command, Insufficient};
use super::node::{Node, accepted, account, context, history};
use crate::command::{Accepted, Context, Expected, Failure};
use crate::ids::{Digest, Sequence};

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
        digest: Digest::of(&[b"other"]),
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
