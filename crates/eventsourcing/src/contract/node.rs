//! An owner under test, and what it left in the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::account::{Account, Command, Insufficient, Moved};
use super::{DEADLINE, Harness};
use crate::assignment::Everything;
use crate::clock::System;
use crate::codec::{self, Meta, Parsed};
use crate::command::{Accepted, Context, Expected, Failure};
use crate::dispatch::Dispatch;
use crate::ids::{AggregateId, CommandId, Digest, Offset};
use crate::owner::{self, Config, OwnerError, Service, Settings};
use crate::record::Stored;
use crate::rule::{Rule, Verdict};

/// An owner of all partitions of the harness's topic.
pub(super) struct Node {
    pub(super) service: Service<Account>,
    pub(super) running: JoinHandle<Result<(), OwnerError>>,
    shutdown: CancellationToken,
}

impl Node {
    pub(super) async fn start(harness: &Harness) -> Self {
        let node = Self::starting(harness);
        let mut status = node.service.status();
        let serving = status.wait_for(|status| status.serving == status.total);
        tokio::time::timeout(DEADLINE, serving)
            .await
            .expect("serves in time")
            .expect("runs");
        node
    }

    pub(super) fn starting(harness: &Harness) -> Self {
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
            routes: None,
            source: "/test".to_owned(),
            config: Config {
                retry_pause: Duration::from_millis(20),
                ..Config::default()
            },
        };
        let shutdown = CancellationToken::new();
        let assignment = Box::new(Everything::of(partitions));
        let (service, running) = owner::spawn(settings, None, assignment, shutdown.clone());
        Self {
            service,
            running,
            shutdown,
        }
    }

    pub(super) async fn execute(
        &self,
        account: &AggregateId,
        command: Command,
        context: Context,
    ) -> Result<Accepted, Failure<Insufficient>> {
        self.service.execute(account.clone(), command, context).await
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.running)
            .await
            .expect("stops in time");
        ended.expect("no panic").expect("no error");
    }
}

pub(super) fn account(name: &str) -> AggregateId {
    name.parse().expect("a valid id")
}

pub(super) fn context(key: &str) -> Context {
    Context {
        id: CommandId::of_key("test", key),
        digest: Digest::of(&[key.as_bytes()]),
        expected: Expected::Any,
        correlation: "request-1".into(),
        causation: None,
        actor: "tester".into(),
        traceparent: None,
    }
}

/// All records of the account's partition.
pub(super) async fn history(harness: &Harness, of: &AggregateId) -> Vec<Stored> {
    let at = harness
        .topic
        .partition(crate::topic::partition_of(of, Harness::PARTITIONS));
    let end = harness.log.bounds(&at).await.expect("readable").end;
    let count = usize::try_from(end.0).expect("small");
    harness.read(&at, Offset(0), count).await
}

/// The accepted events of the account, as any reader sees them.
pub(super) async fn accepted(harness: &Harness, of: &AggregateId) -> Vec<(Offset, Meta, Moved)> {
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
