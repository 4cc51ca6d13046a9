//! Frozen: the first version of what has a newer one. Such records lie in logs for ever, so nothing here changes its
//! JSON. When a type that is used here has to change, its present form is copied into this file first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order::line::{Item, units_of};
use crate::sku::Sku;

/// `daybook.order.rejected.v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRejected {
    /// Why.
    pub reason: RejectReason,
    /// What may be reserved for it and is to be released.
    pub items: Vec<Item>,
}

/// Why an order cannot be fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case", deny_unknown_fields)]
pub enum RejectReason {
    /// Too few units were free.
    InsufficientStock {
        /// Of what.
        sku: Sku,
        /// How many were.
        available: i64,
    },
}

/// The second version says how many units were asked for; the items of the first one know.
impl From<OrderRejected> for super::OrderRejected {
    fn from(old: OrderRejected) -> Self {
        let RejectReason::InsufficientStock { sku, available } = old.reason;
        let requested = units_of(&old.items, &sku);
        Self {
            reason: super::RejectReason::InsufficientStock {
                sku,
                available,
                requested,
            },
            items: old.items,
        }
    }
}
