//! Stock by SKU.

mod get;
mod list;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reads::Reads;

/// How much there is of one SKU, in units.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Stock {
    /// The stock keeping unit.
    pub sku: String,
    /// What lies in the warehouse.
    pub on_hand: i64,
    /// What of it is promised to orders.
    pub reserved: i64,
    /// What can be sold.
    pub available: i64,
    /// The number of changes it has seen; its `ETag`.
    pub sequence: i64,
}

const COLUMNS: &str = "sku, on_hand, reserved, available, sequence";

fn decode(row: &PgRow) -> Result<Stock, sqlx::Error> {
    Ok(Stock {
        sku: row.try_get("sku")?,
        on_hand: row.try_get("on_hand")?,
        reserved: row.try_get("reserved")?,
        available: row.try_get("available")?,
        sequence: row.try_get("sequence")?,
    })
}

pub(crate) fn router() -> OpenApiRouter<Reads> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
}
