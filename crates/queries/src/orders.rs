//! Orders, imported invoices and credit notes.

mod get;
mod history;
mod list;
mod past;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::money::Money;
use crate::reads::Reads;

/// An order, or what was imported as one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// `order_` and 32 hex digits.
    pub id: String,
    /// `placed`, `confirmed`, `rejected` or `cancelled`; of history `imported` or `credit_note`.
    pub status: String,
    /// Why it was rejected (a code: `insufficient_stock`) or cancelled (in words).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was rejected for; only of rejected orders. There is none while the read model is from before it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// The number of a historical invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// Who ordered; none for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Σ quantity × unit price; for a credit note what is given back.
    pub total: Money,
    /// Units of all lines.
    pub units: i64,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// When it was placed; for imports the date of the invoice. RFC 3339, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// The number of changes it has seen; its `ETag`.
    pub sequence: i64,
}

/// Too few units of a SKU: `requested` less `available` were missing.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderShortage)]
pub struct Shortage {
    /// The stock keeping unit.
    pub sku: String,
    /// Units that the order asked for, all of its lines together.
    pub requested: i64,
    /// Units that were free.
    pub available: i64,
}

/// One line of an order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderLine)]
pub struct Line {
    /// The stock keeping unit.
    pub sku: String,
    /// Units.
    pub quantity: i64,
    /// What one cost when the order was placed.
    pub unit_price: Money,
}

/// A line as the row holds it: the currency is the order's.
#[derive(Debug, Deserialize)]
struct StoredLine {
    sku: String,
    quantity: i64,
    unit_price: i64,
}

/// What both read models of orders have; a macro, for `concat!` takes no constants.
// A version of the read model from before `shortage` has no such column, and is read until it is rebuilt: so it is asked for by
// name in the whole row, of the few orders that can have one.
macro_rules! columns {
    ($table:literal) => {
        concat!(
            "id, status, reason, invoice, customer, country, currency, total, units, lines, placed_at, updated_at, \
             sequence, CASE WHEN status = 'rejected' THEN to_jsonb(",
            $table,
            ") -> 'shortage' END AS shortage"
        )
    };
}
use columns;

const COLUMNS: &str = columns!("orders");

fn decode(row: &PgRow) -> Result<Order, sqlx::Error> {
    let currency: String = row.try_get("currency")?;
    let money = |amount| Money {
        amount,
        currency: currency.clone(),
    };
    let Json(stored): Json<Vec<StoredLine>> = row.try_get("lines")?;
    let lines = stored.into_iter().map(|line| Line {
        sku: line.sku,
        quantity: line.quantity,
        unit_price: money(line.unit_price),
    });
    let shortage: Option<Json<Shortage>> = row.try_get("shortage")?;
    Ok(Order {
        id: row.try_get("id")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        shortage: shortage.map(|Json(shortage)| shortage),
        invoice: row.try_get("invoice")?,
        customer: row.try_get("customer")?,
        country: row.try_get("country")?,
        total: money(row.try_get("total")?),
        units: row.try_get("units")?,
        lines: lines.collect(),
        placed_at: row.try_get("placed_at")?,
        updated_at: row.try_get("updated_at")?,
        sequence: row.try_get("sequence")?,
    })
}

pub(crate) fn router() -> OpenApiRouter<Reads> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(history::history))
}
