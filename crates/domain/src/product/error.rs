//! Why a product refuses.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductRefusal {
    /// The SKU is taken.
    #[error("a product with this SKU exists")]
    ProductExists,
    /// There is no such product.
    #[error("there is no such product")]
    ProductNotFound,
    /// An update that names nothing.
    #[error("nothing to change is given")]
    NothingToChange,
    /// What has no price cannot be sold.
    #[error("a product needs a price before it is published")]
    PriceMissing,
    /// It is on sale already.
    #[error("the product is published already")]
    AlreadyPublished,
}

impl ProductRefusal {
    /// Stable, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ProductExists => "product_exists",
            Self::ProductNotFound => "product_not_found",
            Self::NothingToChange => "nothing_to_change",
            Self::PriceMissing => "price_missing",
            Self::AlreadyPublished => "already_published",
        }
    }
}
