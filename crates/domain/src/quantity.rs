//! How many units.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::InvalidValue;

/// The most units one line or one movement of stock may name.
pub const QUANTITY_MAX: u32 = 1_000_000;

/// 1 to [`QUANTITY_MAX`] units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32")]
pub struct Quantity(u32);

impl Quantity {
    /// The quantity, when it keeps the limits (`invalid_quantity`).
    pub fn new(units: i64) -> Result<Self, InvalidValue> {
        let units = u32::try_from(units)
            .ok()
            .filter(|units| (1..=QUANTITY_MAX).contains(units));
        let wrong = || {
            InvalidValue::new(
                "invalid_quantity",
                format!("a quantity is 1 to {QUANTITY_MAX} units"),
            )
        };
        units.map(Self).ok_or_else(wrong)
    }

    /// The number of units.
    pub const fn units(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Quantity {
    type Error = InvalidValue;

    fn try_from(units: u32) -> Result<Self, Self::Error> {
        Self::new(units.into())
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}
