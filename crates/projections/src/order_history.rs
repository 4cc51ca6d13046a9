//! The history of an order: what happened to it, and how it stood after each event.

use domain::order::{self, OrderEvent};
use eventsourcing::aggregate::{Event, Recorded};
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::orders::{OrderRow, Orders, Shortage};

/// The view.
pub struct OrderHistory;

/// An order with all its entries. What never changes (lines, customer, total, …) is there once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderHistoryRow {
    /// The order now, as [`Orders`] has it.
    #[serde(flatten)]
    pub now: OrderRow,
    /// One for each event, in the order of their sequences. The rules end an order after three at most.
    pub entries: Vec<Entry>,
}

/// An event, and what it changed in the order ([`OrderHistoryRow::at`]).
//
// Its time is text in JSON and keeps its nanoseconds; columns keep microseconds. Readers cast it as PostgreSQL cast
// the columns, so that both show the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of the event.
    pub sequence: i64,
    /// Its versioned type, as in `daybook.order.placed.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was recorded; of an import not the date of the invoice.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// Who asked for it.
    pub actor: String,
    /// Of the request that caused it.
    pub request_id: String,
    /// Its `ce_id` in the log.
    pub event_id: Uuid,
    /// The order's status after it.
    pub status: String,
    /// The order's reason after it.
    pub reason: Option<String>,
    /// What was short after it.
    pub shortage: Option<Shortage>,
}

/// The columns of `orders`, and the entries.
const COLUMNS: [(&str, &str); OrderRow::TABLE.columns.len() + 1] = {
    let mut columns = [("entries", "JSONB NOT NULL"); OrderRow::TABLE.columns.len() + 1];
    let mut number = 0;
    while number < OrderRow::TABLE.columns.len() {
        columns[number] = OrderRow::TABLE.columns[number];
        number += 1;
    }
    columns
};

impl Row for OrderHistoryRow {
    const TABLE: Table = Table {
        name: "order_history",
        key: &["id"],
        columns: &COLUMNS,
        indexes: &[],
    };
}

impl OrderHistoryRow {
    /// The order as it stood after this entry.
    #[must_use]
    pub fn at(&self, entry: &Entry) -> OrderRow {
        OrderRow {
            sequence: entry.sequence,
            status: entry.status.clone(),
            reason: entry.reason.clone(),
            shortage: entry.shortage.clone(),
            updated_at: entry.time,
            ..self.now.clone()
        }
    }
}

fn entry(event: &Recorded<OrderEvent>, now: &OrderRow) -> Entry {
    Entry {
        sequence: now.sequence,
        event_type: event.event.event_type().to_owned(),
        time: now.updated_at,
        actor: event.meta.actor.to_string(),
        request_id: event.meta.correlation.to_string(),
        event_id: event.id().0,
        status: now.status.clone(),
        reason: now.reason.clone(),
        shortage: now.shortage.clone(),
    }
}

impl View for OrderHistory {
    const NAME: &'static str = "order_history";
    const SERVICE: &'static str = order::SERVICE;
    // Its rows change when those of `Orders` do. A change of its own is to be added here.
    const FOLD: u32 = Orders::FOLD;
    type Event = OrderEvent;
    type Row = OrderHistoryRow;

    fn fold(
        row: Option<&OrderHistoryRow>,
        event: &Recorded<OrderEvent>,
    ) -> Result<Change<OrderHistoryRow>, FoldError> {
        let now = match Orders::fold(row.map(|row| &row.now), event)? {
            Change::Put(now) => now,
            Change::Delete => return Ok(Change::Delete),
            Change::Keep => return Ok(Change::Keep),
        };
        let entry = entry(event, &now);
        let Some(row) = row else {
            let entries = vec![entry];
            return Ok(Change::Put(OrderHistoryRow { now, entries }));
        };
        // What entries do not keep must not change, or the past would be shown with lines of today.
        if row.at(&entry) != now {
            return Err(FoldError::new(format!(
                "{} changes what the history of {} keeps once",
                entry.event_type, event.aggregate
            )));
        }
        let mut entries = row.entries.clone();
        entries.push(entry);
        Ok(Change::Put(OrderHistoryRow { now, entries }))
    }
}
