//! What can be asked of a stock item.

use serde::{Deserialize, Serialize};

use crate::ids::OrderId;
use crate::quantity::Quantity;
use crate::text::Label;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StockCommand {
    /// Goods came in.
    Receive {
        /// How many.
        quantity: Quantity,
    },
    /// A count or a loss corrects the number on hand.
    Adjust {
        /// By how much, not zero.
        delta: i64,
        /// Why.
        reason: Label,
    },
    /// Holds units for an order.
    Reserve {
        /// For whom.
        order: OrderId,
        /// All of its lines with this SKU together.
        quantity: Quantity,
    },
    /// The order is confirmed: its units stay taken until they are dispatched.
    Confirm {
        /// Whose reservation.
        order: OrderId,
    },
    /// The units are free again.
    Release {
        /// Whose reservation.
        order: OrderId,
    },
}
