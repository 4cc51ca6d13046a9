//! Every error code as the answer to what a member of the owners' group asks: the member has its partitions
//! when the errors are over, or it is told that it will never have any.
//!
//! The mock knows no limits of session time-outs and judges no protocols by itself; `tests/group.rs` has a
//! real broker refuse.

use std::collections::BTreeSet;
use std::time::Duration;

use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing_kafka::{GroupAssignment, GroupConfig, Joined, join};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, SLACK, codes, for_each};

/// Of a member that a busy machine delays.
const BOUND: Duration = SLACK.saturating_mul(4);
/// Errors in a row.
const TIMES: usize = 2;
/// Heartbeats of a member that has its partitions: enough to see the errors answered.
const WATCHED: Duration = Duration::from_secs(2);

/// The codes that only people can mend.
const REFUSALS: [RDKafkaRespErr; 4] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
];

fn member(cluster: &Cluster) -> Joined {
    let config = GroupConfig {
        heartbeat_interval: Duration::from_millis(200),
        ..GroupConfig::new(cluster.mock.bootstrap_servers(), "owners")
    };
    join(&config, std::slice::from_ref(&cluster.topic)).expect("connects in the background")
}

/// What the member owns by now.
#[derive(Default)]
struct Owned(BTreeSet<u32>);

impl Owned {
    async fn follow(&mut self, assignment: &mut GroupAssignment) {
        match assignment.next().await.expect("the member lives") {
            AssignmentChange::Assigned(at) => assert!(self.0.insert(at.partition), "assigned twice"),
            AssignmentChange::Revoked(at) | AssignmentChange::Lost(at) => {
                assert!(self.0.remove(&at.partition), "revoked, but never assigned");
            }
        }
    }

    async fn everything(&mut self, assignment: &mut GroupAssignment) {
        while self.0.len() < 2 {
            self.follow(assignment).await;
        }
    }
}

/// Errors while it joins.
async fn joins(api: RDKafkaApiKey, code: RDKafkaRespErr) {
    let cluster = Cluster::open(1);
    cluster.fails(api, code, TIMES);
    let Joined {
        mut assignments,
        membership,
    } = member(&cluster);
    let mut owned = Owned::default();
    let fate = async {
        tokio::select! {
            ended = membership.ends() => Some(ended.expect_err("it is a member still").to_string()),
            () = owned.everything(&mut assignments[0]) => None,
        }
    };
    let fate = tokio::time::timeout(BOUND, fate).await;
    let fate = fate.unwrap_or_else(|_| panic!("{api:?} {code:?}: neither assigned nor refused"));
    assert!(
        fate.is_none() || REFUSALS.contains(&code),
        "{api:?} {code:?}: {fate:?}"
    );
}

#[test]
fn every_error_code_on_find_coordinator_passes_or_is_a_refusal() {
    for_each(codes(), async |code| {
        joins(RDKafkaApiKey::FindCoordinator, code).await;
    });
}

#[test]
fn every_error_code_on_join_group_passes_or_is_a_refusal() {
    for_each(codes(), async |code| joins(RDKafkaApiKey::JoinGroup, code).await);
}

#[test]
fn every_error_code_on_sync_group_passes_or_is_a_refusal() {
    for_each(codes(), async |code| joins(RDKafkaApiKey::SyncGroup, code).await);
}

#[test]
fn every_error_code_on_a_heartbeat_leaves_the_member_with_its_partitions_in_the_end() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        let Joined {
            mut assignments,
            membership: _kept,
        } = member(&cluster);
        let mut owned = Owned::default();
        let joining = owned.everything(&mut assignments[0]);
        tokio::time::timeout(BOUND, joining).await.expect("joins");
        cluster.fails(RDKafkaApiKey::Heartbeat, code, TIMES);
        let watching = async {
            loop {
                owned.follow(&mut assignments[0]).await;
            }
        };
        let _ = tokio::time::timeout(WATCHED, watching).await;
        cluster.mends(RDKafkaApiKey::Heartbeat);
        let again = owned.everything(&mut assignments[0]);
        let again = tokio::time::timeout(BOUND, again).await;
        again.unwrap_or_else(|_| panic!("{code:?}: the member never has its partitions again"));
    });
}
