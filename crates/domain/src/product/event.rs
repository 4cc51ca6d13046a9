//! What can have happened to a product.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Details;
use crate::events::events;
use crate::money::{Currency, Price};
use crate::sku::Sku;
use crate::text::Label;

events! {
    /// See the module.
    pub ProductEvent {
        /// It exists.
        Created(ProductCreated) = "daybook.product.created.v1",
        /// Some of its details are new.
        DetailsUpdated(ProductDetailsUpdated) = "daybook.product.details_updated.v1",
        /// It costs this.
        PriceSet(PriceSet) = "daybook.product.price_set.v1",
        /// It is on sale.
        Published(ProductPublished) = "daybook.product.published.v1",
    }
}

/// It exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductCreated {
    /// Its SKU, for ever.
    pub sku: Sku,
    /// Its name.
    pub name: Label,
    /// What is known besides.
    pub details: Details,
}

/// What is given is new, the rest is as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductDetailsUpdated {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// The new details.
    pub details: Details,
}

/// It costs this. Carries the SKU, so that a price list needs no other event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceSet {
    /// The product's SKU.
    pub sku: Sku,
    /// Minor units.
    pub price: Price,
    /// Of this currency.
    pub currency: Currency,
}

/// It is on sale, at this price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductPublished {
    /// The product's SKU.
    pub sku: Sku,
    /// Minor units.
    pub price: Price,
    /// Of this currency.
    pub currency: Currency,
}
