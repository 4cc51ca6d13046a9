//! What can be asked of a product.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Price};
use crate::sku::Sku;
use crate::text::{Description, Label};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProductCommand {
    /// A new product.
    Create {
        /// Its SKU, for ever.
        sku: Sku,
        /// Its name.
        name: Label,
        /// What is known besides.
        details: Details,
    },
    /// Changes what is given, keeps the rest.
    UpdateDetails {
        /// A new name.
        name: Option<Label>,
        /// New details.
        details: Details,
    },
    /// The price of one unit from now on.
    SetPrice {
        /// In minor units.
        price: Price,
        /// Of this currency.
        currency: Currency,
    },
    /// Puts it on sale.
    Publish,
}

/// What describes a product beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Label>,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Label>,
}

impl Details {
    /// Whether nothing is given.
    pub const fn is_empty(&self) -> bool {
        self.description.is_none() && self.brand.is_none() && self.category.is_none()
    }
}
