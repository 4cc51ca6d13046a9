//! What a decision about a stock item needs. The collections are persistent: a copy costs nothing,
//! however many reservations a popular item has.

use eventsourcing::states::KeptState;
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use super::error::StockRefusal;
use crate::ids::OrderId;
use crate::quantity::Quantity;

/// How many released orders an item remembers, so that a late repeat cannot reserve for them again.
pub const CLOSED_MAX: usize = 1_024;

/// The units of one SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct StockState {
    pub(super) on_hand: i64,
    reserved: i64,
    reservations: OrdMap<OrderId, Reservation>,
    closed: OrdSet<OrderId>,
    closed_in_order: Vector<OrderId>,
}

/// The state as it is kept: nothing in it can be derived from the rest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    on_hand: i64,
    reservations: OrdMap<OrderId, Reservation>,
    closed_in_order: Vector<OrderId>,
}

impl From<StockState> for Kept {
    fn from(state: StockState) -> Self {
        Self {
            on_hand: state.on_hand,
            reservations: state.reservations,
            closed_in_order: state.closed_in_order,
        }
    }
}

impl From<Kept> for StockState {
    fn from(kept: Kept) -> Self {
        let units = |reservation: &Reservation| i64::from(reservation.quantity.units());
        Self {
            on_hand: kept.on_hand,
            reserved: kept.reservations.values().map(units).sum(),
            closed: kept.closed_in_order.iter().copied().collect(),
            reservations: kept.reservations,
            closed_in_order: kept.closed_in_order,
        }
    }
}

impl KeptState for StockState {
    const NAME: &'static str = "stock_states";
    const SERVICE: &'static str = super::SERVICE;
    const VERSION: u32 = 1;
}

/// What an order holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reservation {
    pub(super) quantity: Quantity,
    pub(super) status: ReservationStatus,
}

/// How firmly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStatus {
    /// Until the order is decided.
    Held,
    /// Until it is dispatched.
    Confirmed,
}

impl StockState {
    /// Units in the house.
    pub const fn on_hand(&self) -> i64 {
        self.on_hand
    }

    /// Units that orders hold.
    pub const fn reserved(&self) -> i64 {
        self.reserved
    }

    /// Units that are free; never negative.
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    pub(super) fn can_become(&self, on_hand: i64) -> Result<(), StockRefusal> {
        if (self.reserved..=super::ON_HAND_MAX).contains(&on_hand) {
            return Ok(());
        }
        Err(StockRefusal::StockOutOfBounds {
            reserved: self.reserved,
        })
    }

    pub(super) fn reservation(&self, order: OrderId) -> Option<&Reservation> {
        self.reservations.get(&order)
    }

    pub(super) fn is_closed(&self, order: OrderId) -> bool {
        self.closed.contains(&order)
    }

    pub(super) fn hold(&mut self, order: OrderId, quantity: Quantity) {
        self.reserved += i64::from(quantity.units());
        self.reservations.insert(
            order,
            Reservation {
                quantity,
                status: ReservationStatus::Held,
            },
        );
    }

    pub(super) fn confirm(&mut self, order: OrderId) {
        if let Some(reservation) = self.reservations.get_mut(&order) {
            reservation.status = ReservationStatus::Confirmed;
        }
    }

    pub(super) fn close(&mut self, order: OrderId) {
        if let Some(reservation) = self.reservations.remove(&order) {
            self.reserved -= i64::from(reservation.quantity.units());
        }
        if self.closed.insert(order).is_none() {
            self.closed_in_order.push_back(order);
        }
        if self.closed_in_order.len() > CLOSED_MAX
            && let Some(oldest) = self.closed_in_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }
}
