//! What a batch of records asks for: the plans of its accepted events, by key.

use std::collections::{BTreeMap, HashMap};

use eventsourcing::aggregate::Recorded;
use eventsourcing::codec::{CorruptRecord, Parsed, decode, parse};
use eventsourcing::ids::{AggregateId, Offset};
use eventsourcing::process::Process;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::TopicPartition;

/// An event and what is to be done about it.
pub(super) struct Planned<P: Process> {
    pub(super) event: Recorded<P::Event>,
    pub(super) plan: P::Plan,
}

/// See the module.
pub(super) struct Batch<P: Process> {
    /// The plans of each key, in the log's order.
    pub(super) keys: Vec<Vec<Planned<P>>>,
    /// Where each partition's next batch begins.
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
}

impl<P: Process> Batch<P> {
    /// Judges records in their order, each by its partition's rule.
    pub(super) fn judge(
        records: &[Stored],
        rules: &mut BTreeMap<TopicPartition, Rule>,
    ) -> Result<Self, CorruptRecord> {
        let mut keys: Vec<Vec<Planned<P>>> = Vec::new();
        let mut index: HashMap<AggregateId, usize> = HashMap::new();
        let mut ends = BTreeMap::new();
        for stored in records {
            let Some(rule) = rules.get_mut(&stored.at) else {
                continue;
            };
            ends.insert(stored.at.clone(), stored.offset.next());
            let parsed = parse(stored)?;
            let verdict = rule.judge(parsed.claim());
            let (Parsed::Event(envelope), Verdict::Accepted) = (parsed, verdict) else {
                continue;
            };
            let event = decode::<P::Event>(stored, envelope)?;
            let Some(plan) = P::react(&event) else {
                continue;
            };
            let place = *index.entry(event.aggregate.clone()).or_insert_with(|| {
                keys.push(Vec::new());
                keys.len() - 1
            });
            keys[place].push(Planned { event, plan });
        }
        Ok(Self { keys, ends })
    }
}
