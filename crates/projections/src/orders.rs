//! Orders: the detail of one, and those of a customer.

use std::sync::Arc;

use domain::order::{self, Lines, OrderEvent, RejectReason, Sale};
use eventsourcing::aggregate::Recorded;
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::sequence::{follows, orphan};

/// The view.
pub struct Orders;

/// An order as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// The order.
    pub id: String,
    /// `placed`, `confirmed`, `rejected`, `cancelled`, `imported` or `credit_note`.
    pub status: String,
    /// Why it was rejected or cancelled.
    pub reason: Option<String>,
    /// Who; `None` for a guest.
    pub customer: Option<String>,
    /// Where to.
    pub country: Option<String>,
    /// Of its historical invoice.
    pub invoice: Option<String>,
    /// Of all its prices.
    pub currency: String,
    /// Minor units.
    pub total: i64,
    /// Units of all lines.
    pub units: i64,
    /// `[{sku, quantity, unit_price}]`, unit price in minor units.
    pub lines: Arc<Lines>,
    /// Of the last event.
    pub sequence: i64,
    /// When it was ordered.
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: OffsetDateTime,
    /// Of the last event.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// What it was rejected for.
    pub shortage: Option<Shortage>,
}

/// Too few units of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Of which.
    pub sku: String,
    /// Units that the order asked for.
    pub requested: i64,
    /// Units that were free.
    pub available: i64,
}

impl Row for OrderRow {
    const TABLE: Table = Table {
        name: "orders",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("status", "TEXT NOT NULL"),
            ("reason", "TEXT"),
            ("customer", "TEXT"),
            ("country", "TEXT"),
            ("invoice", "TEXT"),
            ("currency", "TEXT NOT NULL"),
            ("total", "BIGINT NOT NULL"),
            ("units", "BIGINT NOT NULL"),
            ("lines", "JSONB NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
            ("placed_at", "TIMESTAMPTZ NOT NULL"),
            ("updated_at", "TIMESTAMPTZ NOT NULL"),
            ("shortage", "JSONB"),
        ],
        indexes: &[
            "(customer, placed_at DESC, id DESC)",
            "(status, placed_at DESC, id DESC)",
            "(placed_at DESC, id DESC)",
        ],
    };
}

/// The first row of an order.
fn opened(
    event: &Recorded<OrderEvent>,
    status: &str,
    sale: &Sale,
    invoice: Option<String>,
    placed_at: OffsetDateTime,
) -> OrderRow {
    OrderRow {
        id: event.aggregate.to_string(),
        status: status.to_owned(),
        reason: None,
        customer: sale.customer.as_ref().map(ToString::to_string),
        country: sale.country.as_ref().map(ToString::to_string),
        invoice,
        currency: sale.currency.to_string(),
        total: sale.lines.total(),
        units: sale.lines.units(),
        lines: Arc::clone(&sale.lines),
        sequence: 0,
        placed_at,
        updated_at: event.time,
        shortage: None,
    }
}

fn shortage(reason: &RejectReason) -> Shortage {
    match reason {
        RejectReason::InsufficientStock {
            sku,
            available,
            requested,
        } => Shortage {
            sku: sku.to_string(),
            requested: *requested,
            available: *available,
        },
    }
}

impl View for Orders {
    const NAME: &'static str = "orders";
    const SERVICE: &'static str = order::SERVICE;
    // 2: `shortage`.
    const FOLD: u32 = 2;
    type Event = OrderEvent;
    type Row = OrderRow;

    fn fold(row: Option<&OrderRow>, event: &Recorded<OrderEvent>) -> Result<Change<OrderRow>, FoldError> {
        let sequence = follows(row.map_or(0, |row| row.sequence), event)?;
        let decided = |status: &str, reason: Option<String>| {
            let row = row.cloned().ok_or_else(|| orphan(event))?;
            Ok::<_, FoldError>(OrderRow {
                status: status.to_owned(),
                reason,
                ..row
            })
        };
        let next = match &event.event {
            OrderEvent::Placed(placed) => opened(event, "placed", &placed.sale, None, event.time),
            OrderEvent::Imported(imported) => {
                let invoice = Some(imported.invoice.to_string());
                opened(event, "imported", &imported.sale, invoice, imported.ordered_at)
            }
            OrderEvent::CreditNoteImported(note) => {
                let invoice = Some(note.invoice.to_string());
                opened(event, "credit_note", &note.sale, invoice, note.ordered_at)
            }
            OrderEvent::Confirmed(_) => decided("confirmed", None)?,
            OrderEvent::Rejected(rejected) => OrderRow {
                shortage: Some(shortage(&rejected.reason)),
                ..decided("rejected", Some(rejected.reason.code().to_owned()))?
            },
            OrderEvent::Cancelled(cancelled) => decided("cancelled", Some(cancelled.reason.to_string()))?,
        };
        Ok(Change::Put(OrderRow {
            sequence,
            updated_at: event.time,
            ..next
        }))
    }
}
