//! Sales, counted by country, month or SKU.

mod list;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::money::Money;
use crate::reads::Reads;

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

const COLUMNS: &str = "key, currency, orders, units, revenue, credit_notes, credited_units, credited";

fn decode(row: &PgRow) -> Result<Sales, sqlx::Error> {
    let currency: String = row.try_get("currency")?;
    let money = |amount| Money {
        amount,
        currency: currency.clone(),
    };
    Ok(Sales {
        key: row.try_get("key")?,
        orders: row.try_get("orders")?,
        units: row.try_get("units")?,
        revenue: money(row.try_get("revenue")?),
        credit_notes: row.try_get("credit_notes")?,
        credited_units: row.try_get("credited_units")?,
        credited: money(row.try_get("credited")?),
    })
}

pub(crate) fn router() -> OpenApiRouter<Reads> {
    OpenApiRouter::new().routes(routes!(list::list))
}
