//! Why an order refuses.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::command::Mispriced;
use crate::money::Money;

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderRefusal {
    /// A SKU is not on sale in the order's currency.
    #[error("the SKU is not on sale in this currency")]
    UnknownSku {
        /// The line's index, from 0.
        line: usize,
    },
    /// A price is not the one the customer saw.
    #[error("the price is {} minor units of {} now", now.amount, now.currency)]
    PriceChanged {
        /// The line's index, from 0.
        line: usize,
        /// The price now.
        now: Money,
    },
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

impl From<Mispriced> for OrderRefusal {
    fn from(mispriced: Mispriced) -> Self {
        match mispriced {
            Mispriced::UnknownSku { line } => Self::UnknownSku { line },
            Mispriced::PriceChanged { line, now } => Self::PriceChanged { line, now },
        }
    }
}

impl OrderRefusal {
    /// Stable, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSku { .. } => "unknown_sku",
            Self::PriceChanged { .. } => "price_changed",
            Self::OrderExists => "order_exists",
            Self::OrderNotFound => "order_not_found",
            Self::NotPlaced => "not_placed",
            Self::NotCancellable => "not_cancellable",
        }
    }
}
