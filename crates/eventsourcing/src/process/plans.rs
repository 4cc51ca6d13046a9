//! What a batch of records asks for: the plans of its accepted events, by key.

use std::collections::HashMap;
use std::sync::Arc;

use super::Process;
use crate::aggregate::Recorded;
use crate::codec::CorruptRecord;
use crate::ids::AggregateId;
use crate::readers::Event;

/// An event and what is to be done about it.
pub(super) struct Planned<P: Process> {
    pub(super) event: Recorded<P::Event>,
    pub(super) plan: P::Plan,
}

/// The plans of each key, in the log's order.
pub(super) fn plans<P: Process>(events: &[Event]) -> Result<Vec<Vec<Planned<P>>>, Arc<CorruptRecord>> {
    let mut keys: Vec<Vec<Planned<P>>> = Vec::new();
    let mut index: HashMap<AggregateId, usize> = HashMap::new();
    for event in events {
        let event = event.decode::<P::Event>()?;
        let Some(plan) = P::react(&event) else {
            continue;
        };
        let place = *index.entry(event.aggregate.clone()).or_insert_with(|| {
            keys.push(Vec::new());
            keys.len() - 1
        });
        keys[place].push(Planned { event, plan });
    }
    Ok(keys)
}
