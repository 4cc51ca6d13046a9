//! Products.

mod get;
mod list;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::money::Money;
use crate::reads::Reads;

/// A product as the catalogue has it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// `product_` and 32 hex digits.
    pub id: String,
    /// Its stock keeping unit.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What kind it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `draft` or `published`.
    pub status: String,
    /// What one costs; none yet for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// When it was created. RFC 3339, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// The number of changes it has seen; its `ETag`.
    pub sequence: i64,
}

const COLUMNS: &str = "id, sku, name, description, brand, category, status, price, currency, created_at, updated_at, \
                       sequence";

fn decode(row: &PgRow) -> Result<Product, sqlx::Error> {
    let price: Option<i64> = row.try_get("price")?;
    let currency: Option<String> = row.try_get("currency")?;
    Ok(Product {
        id: row.try_get("id")?,
        sku: row.try_get("sku")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        brand: row.try_get("brand")?,
        category: row.try_get("category")?,
        status: row.try_get("status")?,
        price: price
            .zip(currency)
            .map(|(amount, currency)| Money { amount, currency }),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        sequence: row.try_get("sequence")?,
    })
}

pub(crate) fn router() -> OpenApiRouter<Reads> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
}
