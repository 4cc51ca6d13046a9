//! Money as both APIs show it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount in minor units of a currency: 1999 EUR is 19.99 €.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}
