//! Why a stock item refuses.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::quantity::Quantity;

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockRefusal {
    /// Fewer units are free than asked for.
    #[error("{available} units are available")]
    InsufficientStock {
        /// How many are free.
        available: i64,
    },
    /// An order is reserved at most once.
    #[error("the order holds {} units already", quantity.units())]
    AlreadyReserved {
        /// How many it holds.
        quantity: Quantity,
    },
    /// The order's reservation was released; it cannot come back.
    #[error("the order's reservation was released")]
    ReservationClosed,
    /// The order holds nothing here.
    #[error("the order holds no reservation")]
    NoReservation,
    /// It is confirmed already.
    #[error("the reservation is confirmed already")]
    AlreadyConfirmed,
    /// An adjustment by nothing.
    #[error("an adjustment changes something")]
    NothingToAdjust,
    /// The number on hand would fall below what is reserved, or grow beyond all bounds.
    #[error(
        "the number on hand must stay between {reserved} (reserved) and {}",
        super::ON_HAND_MAX
    )]
    StockOutOfBounds {
        /// How many are reserved.
        reserved: i64,
    },
}

impl StockRefusal {
    /// Stable, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::AlreadyReserved { .. } => "already_reserved",
            Self::ReservationClosed => "reservation_closed",
            Self::NoReservation => "no_reservation",
            Self::AlreadyConfirmed => "already_confirmed",
            Self::NothingToAdjust => "nothing_to_adjust",
            Self::StockOutOfBounds { .. } => "stock_out_of_bounds",
        }
    }
}
