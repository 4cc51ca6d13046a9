//! Products: list and detail.

use domain::product::{self, ProductEvent};
use eventsourcing::aggregate::Recorded;
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::sequence::{follows, orphan};

/// The view.
pub struct Products;

/// A product as lists and pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductRow {
    /// The product.
    pub id: String,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Prose.
    pub description: Option<String>,
    /// Who makes it.
    pub brand: Option<String>,
    /// What kind of thing.
    pub category: Option<String>,
    /// Minor units; `None` before the first price.
    pub price: Option<i64>,
    /// Of this currency.
    pub currency: Option<String>,
    /// `draft` or `published`.
    pub status: String,
    /// Of the last event.
    pub sequence: i64,
    /// Of the first event.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Of the last event.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Row for ProductRow {
    const TABLE: Table = Table {
        name: "products",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("sku", "TEXT NOT NULL"),
            ("name", "TEXT NOT NULL"),
            ("description", "TEXT"),
            ("brand", "TEXT"),
            ("category", "TEXT"),
            ("price", "BIGINT"),
            ("currency", "TEXT"),
            ("status", "TEXT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
            ("created_at", "TIMESTAMPTZ NOT NULL"),
            ("updated_at", "TIMESTAMPTZ NOT NULL"),
        ],
        indexes: &["(sku)", "(category, id)", "(brand, id)"],
    };
}

impl View for Products {
    const NAME: &'static str = "products";
    const SERVICE: &'static str = product::SERVICE;
    type Event = ProductEvent;
    type Row = ProductRow;

    fn fold(
        row: Option<&ProductRow>,
        event: &Recorded<ProductEvent>,
    ) -> Result<Change<ProductRow>, FoldError> {
        let sequence = follows(row.map_or(0, |row| row.sequence), event)?;
        let text = |text: &dyn ToString| Some(text.to_string());
        let mut next = match (&event.event, row) {
            (ProductEvent::Created(created), _) => ProductRow {
                id: event.aggregate.to_string(),
                sku: created.sku.to_string(),
                name: created.name.to_string(),
                description: created.details.description.as_ref().and_then(|it| text(it)),
                brand: created.details.brand.as_ref().and_then(|it| text(it)),
                category: created.details.category.as_ref().and_then(|it| text(it)),
                price: None,
                currency: None,
                status: "draft".to_owned(),
                sequence,
                created_at: event.time,
                updated_at: event.time,
            },
            (_, None) => return Err(orphan(event)),
            (_, Some(row)) => row.clone(),
        };
        match &event.event {
            ProductEvent::Created(_) => {}
            ProductEvent::DetailsUpdated(updated) => {
                if let Some(name) = &updated.name {
                    next.name = name.to_string();
                }
                let details = &updated.details;
                next.description = details
                    .description
                    .as_ref()
                    .and_then(|it| text(it))
                    .or(next.description);
                next.brand = details.brand.as_ref().and_then(|it| text(it)).or(next.brand);
                next.category = details
                    .category
                    .as_ref()
                    .and_then(|it| text(it))
                    .or(next.category);
            }
            ProductEvent::PriceSet(set) => {
                next.price = Some(set.price.amount());
                next.currency = Some(set.currency.to_string());
            }
            ProductEvent::Published(_) => next.status = "published".to_owned(),
        }
        next.sequence = sequence;
        next.updated_at = event.time;
        Ok(Change::Put(next))
    }
}
