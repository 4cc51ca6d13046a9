//! Money: an integer of minor units and a currency that says how many make one.

mod currency;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::value::InvalidValue;

pub use currency::Currency;

/// An amount in minor units of a currency: 1999 EUR is 19.99 €, 1999 JPY is 1999 ¥.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units; may be negative where a difference is meant.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

/// The largest price of one unit, in minor units. Times the largest quantity and the most lines it
/// still fits an `i64`, with room for the sums of a large shop.
pub const PRICE_MAX: i64 = 1_000_000_000;

/// The price of one unit, in minor units of the order's currency: 1 to [`PRICE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schemars(with = "i64")]
pub struct Price(i64);

impl Price {
    /// The price, when it keeps the limits (`invalid_price`).
    pub fn new(amount: i64) -> Result<Self, InvalidValue> {
        if (1..=PRICE_MAX).contains(&amount) {
            return Ok(Self(amount));
        }
        let detail = format!("a price is 1 to {PRICE_MAX} minor units");
        Err(InvalidValue::new("invalid_price", detail))
    }

    /// Minor units.
    pub const fn amount(self) -> i64 {
        self.0
    }

    /// What so many units cost; `None` when it does not fit.
    pub fn times(self, quantity: Quantity) -> Option<i64> {
        self.0.checked_mul(quantity.units().into())
    }
}

impl TryFrom<i64> for Price {
    type Error = InvalidValue;

    fn try_from(amount: i64) -> Result<Self, Self::Error> {
        Self::new(amount)
    }
}

impl From<Price> for i64 {
    fn from(price: Price) -> Self {
        price.0
    }
}
