//! Availability: what of each SKU is on hand, reserved and free.

use domain::ids::STOCK_PREFIX;
use domain::stock_item::{self, StockEvent};
use eventsourcing::aggregate::Recorded;
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::sequence::follows;

/// The view.
pub struct Availability;

/// The units of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityRow {
    /// The stock item.
    pub id: String,
    /// Its SKU.
    pub sku: String,
    /// Units in the house.
    pub on_hand: i64,
    /// Units that orders hold.
    pub reserved: i64,
    /// Units that are free.
    pub available: i64,
    /// Of the last event.
    pub sequence: i64,
    /// Of the last event.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Row for AvailabilityRow {
    const TABLE: Table = Table {
        name: "availability",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("sku", "TEXT NOT NULL"),
            ("on_hand", "BIGINT NOT NULL"),
            ("reserved", "BIGINT NOT NULL"),
            ("available", "BIGINT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
            ("updated_at", "TIMESTAMPTZ NOT NULL"),
        ],
        indexes: &["(sku)"],
    };
}

impl View for Availability {
    const NAME: &'static str = "availability";
    const SERVICE: &'static str = stock_item::SERVICE;
    type Event = StockEvent;
    type Row = AvailabilityRow;

    fn fold(
        row: Option<&AvailabilityRow>,
        event: &Recorded<StockEvent>,
    ) -> Result<Change<AvailabilityRow>, FoldError> {
        let sequence = follows(row.map_or(0, |row| row.sequence), event)?;
        let (mut on_hand, mut reserved) = row.map_or((0, 0), |row| (row.on_hand, row.reserved));
        match &event.event {
            StockEvent::Received(received) => on_hand += i64::from(received.quantity.units()),
            StockEvent::Adjusted(adjusted) => on_hand += adjusted.delta,
            StockEvent::Reserved(held) => reserved += i64::from(held.quantity.units()),
            StockEvent::Released(released) => reserved -= i64::from(released.quantity.units()),
            // Confirmed units stay reserved until they are dispatched.
            StockEvent::Confirmed(_) => {}
        }
        let id = event.aggregate.to_string();
        let sku = id.strip_prefix(STOCK_PREFIX).unwrap_or(&id).to_owned();
        let available = on_hand - reserved;
        let updated_at = event.time;
        Ok(Change::Put(AvailabilityRow {
            id,
            sku,
            on_hand,
            reserved,
            available,
            sequence,
            updated_at,
        }))
    }
}
