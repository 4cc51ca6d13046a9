//! What a decision about an order needs.

use std::sync::Arc;

use eventsourcing::states::KeptState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Sale;

/// Where an order stands. What is over keeps no lines: millions of them live in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OrderState {
    /// Not there.
    #[default]
    None,
    /// Waiting for the checkout.
    Placed(Arc<Sale>),
    /// A sale.
    Confirmed(Arc<Sale>),
    /// Could not be fulfilled.
    Rejected,
    /// Somebody changed their mind.
    Cancelled,
    /// An order of the past.
    Imported,
    /// A credit note of the past.
    CreditNote,
}

impl KeptState for OrderState {
    const NAME: &'static str = "order_states";
    const SERVICE: &'static str = super::SERVICE;
    const VERSION: u32 = 1;
}

impl OrderState {
    /// Whether the checkout has nothing more to decide.
    pub const fn is_settled(&self) -> bool {
        !matches!(self, Self::None | Self::Placed(_))
    }
}

/// What a cancelled order was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelledFrom {
    /// Not a sale yet.
    Placed,
    /// A sale.
    Confirmed,
}
