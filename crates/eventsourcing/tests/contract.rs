//! The contract suite on the simulated log, on a good day.

use std::sync::Arc;

use eventsourcing::contract::Harness;
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::topic::Topic;

async fn harness() -> Harness {
    let log = SimulatedLog::new(0, Harness::PARTITIONS, Faults::NONE);
    Harness {
        log: Arc::new(log),
        topic: Topic::events("contract", "accounts"),
        guard: Box::new(()),
    }
}

eventsourcing::contract_suite!(harness);

/// The same log, whose readers share what they read.
mod fan_out {
    use eventsourcing::fan_out::FanOut;

    use super::*;

    async fn harness() -> Harness {
        let alone = super::harness().await;
        Harness {
            log: Arc::new(FanOut::new(alone.log)),
            ..alone
        }
    }

    eventsourcing::contract_suite!(harness);
}
