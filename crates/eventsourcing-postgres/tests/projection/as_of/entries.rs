//! Entries of accounts, some of which happened before they were recorded, and what is made of them.

use eventsourcing::aggregate::{DecodeError, Event, Recorded};
use eventsourcing::projection::{Change, Counter, FoldError, Row, Table, Tally, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Moved now, or entered later with the day it had happened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) by: i64,
    pub(crate) day: Option<OffsetDateTime>,
}

pub(crate) const NOW: &str = "test.account.entered.v1";
pub(crate) const LATER: &str = "test.account.entered_later.v1";

impl Event for Entry {
    const TYPES: &'static [&'static str] = &[NOW, LATER];

    fn event_type(&self) -> &'static str {
        if self.day.is_some() { LATER } else { NOW }
    }

    fn happened_at(&self) -> Option<OffsetDateTime> {
        self.day
    }

    fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("plain data");
    }

    fn decode(event_type: &str, data: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(data).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            source,
        })
    }
}

pub(crate) struct Accounts;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccountsRow {
    id: String,
    balance: i64,
    sequence: i64,
}

impl Row for AccountsRow {
    const TABLE: Table = Table {
        name: "accounts",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("balance", "BIGINT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
        ],
        indexes: &["(balance)"],
    };
}

impl View for Accounts {
    const NAME: &'static str = "accounts";
    const SERVICE: &'static str = "accounts";
    type Event = Entry;
    type Row = AccountsRow;

    fn fold(row: Option<&AccountsRow>, event: &Recorded<Entry>) -> Result<Change<AccountsRow>, FoldError> {
        let sequence = row.map_or(0, |row| row.sequence) + 1;
        if event.sequence().0.cast_signed() != sequence {
            return Err(FoldError::new("a gap in the sequence"));
        }
        Ok(Change::Put(AccountsRow {
            id: event.aggregate.to_string(),
            balance: row.map_or(0, |row| row.balance) + event.event.by,
            sequence,
        }))
    }
}

pub(crate) struct Sums;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SumsRow {
    day: String,
    sum: i64,
}

impl Row for SumsRow {
    const TABLE: Table = Table {
        name: "sums",
        key: &["day"],
        columns: &[("day", "TEXT NOT NULL"), ("sum", "NUMERIC NOT NULL")],
        indexes: &[],
    };
}

impl Counter for SumsRow {
    const ADDED: &'static [&'static str] = &["sum"];
    type Key = String;

    fn key(&self) -> String {
        self.day.clone()
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        self.sum += other.sum;
        Ok(())
    }
}

impl Tally for Sums {
    const NAME: &'static str = "sums";
    const SERVICE: &'static str = "accounts";
    type Event = Entry;
    type Counter = SumsRow;

    fn count(event: &Recorded<Entry>) -> Result<Vec<SumsRow>, FoldError> {
        Ok(vec![SumsRow {
            day: event.happened_at().date().to_string(),
            sum: event.event.by,
        }])
    }
}
