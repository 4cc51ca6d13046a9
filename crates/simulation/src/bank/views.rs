//! What is folded from the accounts: a row for each, and a counter over all.

use eventsourcing::aggregate::Recorded;
use eventsourcing::ids::{AggregateId, Sequence};
use eventsourcing::projection::{Change, Counter, FoldError, Row, Table, Tally, View};
use serde::{Deserialize, Serialize};

use super::account::{Moved, Then};

/// Each account.
pub(crate) struct Balances;

/// One account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) account: AggregateId,
    pub(crate) sequence: Sequence,
    pub(crate) amount: i64,
    /// Added up by the view itself: an event applied twice shows.
    pub(crate) moves: i64,
}

impl Row for Balance {
    const TABLE: Table = Table {
        name: "balances",
        key: &["account"],
        columns: &[
            ("account", "TEXT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
            ("amount", "BIGINT NOT NULL"),
            ("moves", "BIGINT NOT NULL"),
        ],
        indexes: &[],
    };
}

impl View for Balances {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = Balance;

    fn fold(row: Option<&Balance>, event: &Recorded<Moved>) -> Result<Change<Balance>, FoldError> {
        let before = row.map_or((0, 0), |row| (row.amount, row.moves));
        Ok(Change::Put(Balance {
            account: event.aggregate.clone(),
            sequence: event.sequence(),
            amount: before.0 + event.event.by,
            moves: before.1 + 1,
        }))
    }
}

/// How much moved in all, by what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) then: String,
    pub(crate) moves: i64,
    pub(crate) amount: i64,
}

impl Row for Flow {
    const TABLE: Table = Table {
        name: "flow",
        key: &["then"],
        columns: &[
            ("then", "TEXT NOT NULL"),
            ("moves", "NUMERIC NOT NULL"),
            ("amount", "NUMERIC NOT NULL"),
        ],
        indexes: &[],
    };
}

impl Counter for Flow {
    const ADDED: &'static [&'static str] = &["moves", "amount"];
    type Key = String;

    fn key(&self) -> String {
        self.then.clone()
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        self.moves += other.moves;
        self.amount += other.amount;
        Ok(())
    }
}

impl Tally for Flow {
    const NAME: &'static str = "flow";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Counter = Self;

    fn count(event: &Recorded<Moved>) -> Result<Vec<Self>, FoldError> {
        let then = match event.event.then {
            None => "nothing",
            Some(Then::Deliver { .. }) => "deliver",
            Some(Then::GiveBack { .. }) => "give back",
        };
        Ok(vec![Self {
            then: then.to_owned(),
            moves: 1,
            amount: event.event.by,
        }])
    }
}
