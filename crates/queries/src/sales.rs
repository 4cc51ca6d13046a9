//! Sales, counted by country, month or SKU.

mod list;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::money::Money;
use crate::reads::{Reads, SumTooLarge};

/// What was sold under one key, in one currency.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Sales {
    /// The country, the month (`2011-06`) or the SKU.
    pub key: String,
    /// Orders; by SKU: orders that contain it.
    pub orders: i64,
    /// Units ordered.
    pub units: i64,
    /// Σ quantity × unit price.
    pub revenue: Money,
    /// Credit notes; by SKU: credit notes that contain it.
    pub credit_notes: i64,
    /// Units credited.
    pub credited_units: i64,
    /// What was given back.
    pub credited: Money,
}

/// Sums are NUMERIC, which grows without end: as text they come whole.
const COLUMNS: &str = "key, currency, orders::TEXT AS orders, units::TEXT AS units, revenue::TEXT AS revenue, \
                       credit_notes::TEXT AS credit_notes, credited_units::TEXT AS credited_units, \
                       credited::TEXT AS credited";

fn decode(row: &PgRow) -> Result<Sales, sqlx::Error> {
    let currency: String = row.try_get("currency")?;
    let money = |amount| Money {
        amount,
        currency: currency.clone(),
    };
    // A number that does not fit is refused, never cut.
    let sum = |column: &str| {
        let text: String = row.try_get(column)?;
        text.parse()
            .map_err(|_| sqlx::Error::Decode(Box::new(SumTooLarge(format!("{column} is {text}")))))
    };
    Ok(Sales {
        key: row.try_get("key")?,
        orders: sum("orders")?,
        units: sum("units")?,
        revenue: money(sum("revenue")?),
        credit_notes: sum("credit_notes")?,
        credited_units: sum("credited_units")?,
        credited: money(sum("credited")?),
    })
}

pub(crate) fn router() -> OpenApiRouter<Reads> {
    OpenApiRouter::new().routes(routes!(list::list))
}
