//! What can have happened to a stock item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::events;
use crate::ids::OrderId;
use crate::quantity::Quantity;
use crate::text::Label;

events! {
    /// See the module.
    pub StockEvent {
        /// Goods came in.
        Received(StockReceived) = "daybook.stock.received.v1",
        /// The number on hand was corrected.
        Adjusted(StockAdjusted) = "daybook.stock.adjusted.v1",
        /// Units are held for an order.
        Reserved(StockReserved) = "daybook.stock.reserved.v1",
        /// The order is confirmed; its units stay taken.
        Confirmed(ReservationConfirmed) = "daybook.stock.reservation_confirmed.v1",
        /// The units are free again.
        Released(ReservationReleased) = "daybook.stock.reservation_released.v1",
    }
}

/// Goods came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockReceived {
    /// How many.
    pub quantity: Quantity,
}

/// The number on hand was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockAdjusted {
    /// By how much.
    pub delta: i64,
    /// Why.
    pub reason: Label,
}

/// Units are held for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockReserved {
    /// For whom.
    pub order: OrderId,
    /// How many.
    pub quantity: Quantity,
}

/// The order is confirmed; its units stay taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationConfirmed {
    /// Whose.
    pub order: OrderId,
    /// How many.
    pub quantity: Quantity,
}

/// The units are free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationReleased {
    /// Whose.
    pub order: OrderId,
    /// How many.
    pub quantity: Quantity,
}
