//! Rows and checkpoints as they stood at one moment, to be held against the log.

use std::collections::BTreeMap;

use checker::{Breach, CheckpointMove, Checkpoints, check_tally, check_view};
use eventsourcing::ids::AggregateId;
use eventsourcing::process::Process;
use eventsourcing::projection::{Tally, View};
use eventsourcing::record::Stored;
use eventsourcing::simulated::{Rows, SimulatedReadModel};

use crate::bank::transfers::Transfers;
use crate::bank::views::{Balance, Balances, Flow};
use crate::world::World;

/// See the module.
pub(crate) struct Snapshot {
    balances: (Rows, Checkpoints),
    flow: (Rows, Checkpoints),
}

impl Snapshot {
    /// The present; the process's checkpoints are noted in the history.
    pub(crate) fn of(world: &World) -> Self {
        for at in world.partitions() {
            let next = world.checkpoints.checkpoint(Transfers::NAME, &at).next;
            let reader = Transfers::NAME.into();
            world.recorder.checkpoint(CheckpointMove { reader, at, next });
        }
        let of = |rows: &SimulatedReadModel| {
            let stands = world
                .partitions()
                .map(|at| (at.clone(), rows.checkpoint(&at).next));
            (rows.rows(), stands.collect())
        };
        Self {
            balances: of(&world.balances),
            flow: of(&world.flow),
        }
    }

    /// I6.
    pub(crate) fn check(&self, log: &[Stored]) -> Option<Breach> {
        let (rows, checkpoints) = &self.balances;
        let rows: BTreeMap<AggregateId, Balance> = rows
            .iter()
            .map(|(key, row)| {
                let row = serde_json::from_value(row.clone()).expect("a row as it was put");
                (key.parse().expect("an account"), row)
            })
            .collect();
        let view = check_view::<Balances>(log, checkpoints, &rows);
        let (rows, checkpoints) = &self.flow;
        let rows: Vec<Flow> = rows
            .values()
            .map(|row| serde_json::from_value(row.clone()).expect("a row as it was put"))
            .collect();
        let tally = check_tally::<Flow>(log, checkpoints, rows);
        view.into_iter().chain(tally).next()
    }
}

/// Each move of a checkpoint of the read models, for the history.
pub(crate) fn note_moves(world: &World) {
    for (name, rows) in [
        (<Balances as View>::NAME, &world.balances),
        (<Flow as Tally>::NAME, &world.flow),
    ] {
        for (at, _, next) in rows.moves() {
            let reader = name.into();
            world.recorder.checkpoint(CheckpointMove { reader, at, next });
        }
    }
}
