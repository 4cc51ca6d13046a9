//! Sales: additive counters by country, by month and by SKU.

use domain::order::{self, CancelledFrom, OrderEvent, Sale};
use eventsourcing::aggregate::Recorded;
use eventsourcing::projection::{Counter, FoldError, Row, Table, Tally};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The tally.
pub struct Sales;

/// What was sold and given back under one key of one dimension in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesRow {
    /// `country`, `month` or `sku`.
    pub dimension: String,
    /// `United Kingdom`, `2010-12`, `85123A`.
    pub key: String,
    /// Of the amounts.
    pub currency: String,
    /// Orders; by SKU: orders that contain it.
    pub orders: i64,
    /// Units sold.
    pub units: i64,
    /// Minor units.
    pub revenue: i64,
    /// Credit notes; by SKU: credit notes that contain it.
    pub credit_notes: i64,
    /// Units given back.
    pub credited_units: i64,
    /// Minor units.
    pub credited: i64,
}

// NUMERIC: a sum of BIGINTs overflows at one event or another depending on how the log was cut into
// batches and in which order partitions came; a NUMERIC never does, so live = rebuilt by construction.
// The query API refuses to show a sum that does not fit.
impl Row for SalesRow {
    const TABLE: Table = Table {
        name: "sales",
        key: &["dimension", "key", "currency"],
        columns: &[
            ("dimension", "TEXT NOT NULL"),
            ("key", "TEXT NOT NULL"),
            ("currency", "TEXT NOT NULL"),
            ("orders", "NUMERIC NOT NULL"),
            ("units", "NUMERIC NOT NULL"),
            ("revenue", "NUMERIC NOT NULL"),
            ("credit_notes", "NUMERIC NOT NULL"),
            ("credited_units", "NUMERIC NOT NULL"),
            ("credited", "NUMERIC NOT NULL"),
        ],
        indexes: &[],
    };
}

impl Counter for SalesRow {
    const ADDED: &'static [&'static str] = &[
        "orders",
        "units",
        "revenue",
        "credit_notes",
        "credited_units",
        "credited",
    ];
    type Key = (String, String, String);

    fn key(&self) -> Self::Key {
        (self.dimension.clone(), self.key.clone(), self.currency.clone())
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        let fields = [
            (&mut self.orders, other.orders),
            (&mut self.units, other.units),
            (&mut self.revenue, other.revenue),
            (&mut self.credit_notes, other.credit_notes),
            (&mut self.credited_units, other.credited_units),
            (&mut self.credited, other.credited),
        ];
        for (sum, more) in fields {
            *sum = sum
                .checked_add(more)
                .ok_or_else(|| FoldError::new("a counter overflows"))?;
        }
        Ok(())
    }
}

/// What a sale counts as.
#[derive(Clone, Copy)]
enum Kind {
    Sold,
    /// A confirmed order that was cancelled.
    TakenBack,
    Credited,
}

/// The country of a sale that names none.
const NO_COUNTRY: &str = "unknown";

fn counter(dimension: &str, key: String, sale: &Sale, kind: Kind, units: i64, amount: i64) -> SalesRow {
    let (count, units, amount) = match kind {
        Kind::Sold | Kind::Credited => (1, units, amount),
        Kind::TakenBack => (-1, -units, -amount),
    };
    let blank = SalesRow {
        dimension: dimension.to_owned(),
        key,
        currency: sale.currency.to_string(),
        orders: 0,
        units: 0,
        revenue: 0,
        credit_notes: 0,
        credited_units: 0,
        credited: 0,
    };
    match kind {
        Kind::Sold | Kind::TakenBack => SalesRow {
            orders: count,
            units,
            revenue: amount,
            ..blank
        },
        Kind::Credited => SalesRow {
            credit_notes: count,
            credited_units: units,
            credited: amount,
            ..blank
        },
    }
}

fn count(sale: &Sale, at: OffsetDateTime, kind: Kind) -> Vec<SalesRow> {
    let (units, total) = (sale.lines.units(), sale.lines.total());
    let country = sale
        .country
        .as_ref()
        .map_or_else(|| NO_COUNTRY.to_owned(), ToString::to_string);
    let at = at.to_offset(time::UtcOffset::UTC);
    let month = format!("{:04}-{:02}", at.year(), u8::from(at.month()));
    let mut counted = vec![
        counter("country", country, sale, kind, units, total),
        counter("month", month, sale, kind, units, total),
    ];
    for item in sale.lines.items() {
        let lines = sale.lines.as_slice().iter().filter(|line| line.sku == item.sku);
        // The total of all lines fits, so the part of one SKU does.
        let amount = lines
            .filter_map(|line| line.unit_price.times(line.quantity))
            .sum();
        let units = i64::from(item.quantity.units());
        counted.push(counter("sku", item.sku.to_string(), sale, kind, units, amount));
    }
    counted
}

impl Tally for Sales {
    const NAME: &'static str = "sales";
    const SERVICE: &'static str = order::SERVICE;
    type Event = OrderEvent;
    type Counter = SalesRow;

    fn count(event: &Recorded<OrderEvent>) -> Result<Vec<SalesRow>, FoldError> {
        Ok(match &event.event {
            OrderEvent::Confirmed(confirmed) => count(&confirmed.sale, event.time, Kind::Sold),
            OrderEvent::Imported(imported) => count(&imported.sale, imported.ordered_at, Kind::Sold),
            OrderEvent::CreditNoteImported(note) => count(&note.sale, note.ordered_at, Kind::Credited),
            OrderEvent::Cancelled(cancelled) => match cancelled.from {
                CancelledFrom::Confirmed => count(&cancelled.sale, event.time, Kind::TakenBack),
                CancelledFrom::Placed => Vec::new(),
            },
            OrderEvent::Placed(_) | OrderEvent::Rejected(_) => Vec::new(),
        })
    }
}
