//! Records that never counted: a zombie's, which came too late. Nobody may have been told that they did.

use std::collections::{BTreeMap, HashMap};

use checker::{History, Outcome};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::{CommandId, OwnerId};
use eventsourcing::position::Position;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict as Judged};
use eventsourcing::topic::TopicPartition;

use super::{Evidence, Verdict};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Void {
    /// By the node that wrote them.
    pub(crate) events: BTreeMap<String, u64>,
    /// What was told of commands with a void record, an attempt at a time.
    pub(crate) told: BTreeMap<&'static str, u64>,
}

/// Looks for them, and whether somebody was told 2xx with the position of one.
pub(crate) fn void(evidence: &Evidence, verdict: &mut Verdict) -> Void {
    let mut void = Void::default();
    let mut places = HashMap::new();
    for log in [&evidence.inventory_log, &evidence.orders_log] {
        find(log, &mut places, &mut void);
    }
    told(&evidence.stock, &places, &mut void, verdict);
    told(&evidence.orders, &places, &mut void, verdict);
    void
}

fn find(log: &[Stored], places: &mut HashMap<CommandId, Vec<Position>>, void: &mut Void) {
    let mut rules: HashMap<&TopicPartition, Rule> = HashMap::new();
    let mut nodes: HashMap<OwnerId, String> = HashMap::new();
    for stored in log {
        let Ok(parsed) = codec::parse(stored) else {
            continue;
        };
        let judged = rules.entry(&stored.at).or_default().judge(parsed.claim());
        match (judged, parsed) {
            (_, Parsed::Fence(fence)) => {
                nodes.insert(fence.owner, fence.node);
            }
            (Judged::Void, Parsed::Event(envelope)) => {
                let node = nodes.get(&envelope.meta.term.owner).cloned().unwrap_or_default();
                *void.events.entry(node).or_default() += 1;
                let position = Position::new(&stored.at, stored.offset);
                places.entry(envelope.meta.command).or_default().push(position);
            }
            (Judged::Accepted | Judged::Opened, Parsed::Event(_)) => {}
        }
    }
}

fn told<A: Aggregate>(
    history: &History<A>,
    places: &HashMap<CommandId, Vec<Position>>,
    void: &mut Void,
    verdict: &mut Verdict,
) {
    for attempt in &history.attempts {
        let Some(places) = places.get(&attempt.question.command) else {
            continue;
        };
        let told = match &attempt.outcome {
            Outcome::Accepted(accepted) if places.contains(&accepted.position) => {
                let (node, position) = (&attempt.question.node, &accepted.position);
                verdict.breach(format!(
                    "I1: {node} accepted a command at {position}, which is void"
                ));
                "accepted, though void"
            }
            Outcome::Accepted(_) => "accepted elsewhere in the log",
            Outcome::Refused | Outcome::Conflict(_) | Outcome::KeyReused => "refused",
            Outcome::NotAttempted(_) => "not attempted",
            Outcome::Unknown => "unknown",
        };
        *void.told.entry(told).or_default() += 1;
    }
}
