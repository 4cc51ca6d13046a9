//! Why an order refuses.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderRefusal {
    /// The id is taken.
    #[error("the order exists already")]
    OrderExists,
    /// There is no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// It is decided already.
    #[error("the order is not waiting for a decision")]
    NotPlaced,
    /// It is over.
    #[error("the order can no longer be cancelled")]
    NotCancellable,
}

impl OrderRefusal {
    /// Stable, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OrderExists => "order_exists",
            Self::OrderNotFound => "order_not_found",
            Self::NotPlaced => "not_placed",
            Self::NotCancellable => "not_cancellable",
        }
    }
}
