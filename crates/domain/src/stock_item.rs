//! A stock item: the units of one SKU. One writer decides for each SKU, so nothing is oversold.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

use eventsourcing::aggregate::Aggregate;

pub use command::StockCommand;
pub use error::StockRefusal;
pub use event::{
    ReservationConfirmed, ReservationReleased, StockAdjusted, StockEvent, StockReceived, StockReserved,
};
pub use state::{CLOSED_MAX, ReservationStatus, StockState};

/// The aggregate; its topic is `inventory`.
pub struct StockItem;

/// The service whose topic holds it.
pub const SERVICE: &str = "inventory";

/// The most units an item can have: far above any shop, far below an overflow.
pub const ON_HAND_MAX: i64 = 1_000_000_000_000;

impl Aggregate for StockItem {
    type State = StockState;
    type Command = StockCommand;
    type Event = StockEvent;
    type Refusal = StockRefusal;

    fn decide(state: &StockState, command: &StockCommand) -> Result<StockEvent, StockRefusal> {
        match command {
            StockCommand::Receive { quantity } => {
                state.can_become(state.on_hand + i64::from(quantity.units()))?;
                Ok(StockEvent::Received(StockReceived { quantity: *quantity }))
            }
            StockCommand::Adjust { delta, reason } => {
                if *delta == 0 {
                    return Err(StockRefusal::NothingToAdjust);
                }
                state.can_become(state.on_hand.saturating_add(*delta))?;
                Ok(StockEvent::Adjusted(StockAdjusted {
                    delta: *delta,
                    reason: reason.clone(),
                }))
            }
            StockCommand::Reserve { order, quantity } => {
                if let Some(reservation) = state.reservation(*order) {
                    return Err(StockRefusal::AlreadyReserved {
                        quantity: reservation.quantity,
                    });
                }
                if state.is_closed(*order) {
                    return Err(StockRefusal::ReservationClosed);
                }
                if state.available() < i64::from(quantity.units()) {
                    return Err(StockRefusal::InsufficientStock {
                        available: state.available(),
                    });
                }
                Ok(StockEvent::Reserved(StockReserved {
                    order: *order,
                    quantity: *quantity,
                }))
            }
            StockCommand::Confirm { order } => {
                let reservation = state.reservation(*order).ok_or(StockRefusal::NoReservation)?;
                match reservation.status {
                    ReservationStatus::Held => Ok(StockEvent::Confirmed(ReservationConfirmed {
                        order: *order,
                        quantity: reservation.quantity,
                    })),
                    ReservationStatus::Confirmed => Err(StockRefusal::AlreadyConfirmed),
                }
            }
            StockCommand::Release { order } => {
                let reservation = state.reservation(*order).ok_or(StockRefusal::NoReservation)?;
                let quantity = reservation.quantity;
                Ok(StockEvent::Released(ReservationReleased {
                    order: *order,
                    quantity,
                }))
            }
        }
    }

    fn evolve(state: &mut StockState, event: &StockEvent) {
        match event {
            StockEvent::Received(received) => state.on_hand += i64::from(received.quantity.units()),
            StockEvent::Adjusted(adjusted) => state.on_hand += adjusted.delta,
            StockEvent::Reserved(reserved) => state.hold(reserved.order, reserved.quantity),
            StockEvent::Confirmed(confirmed) => state.confirm(confirmed.order),
            StockEvent::Released(released) => state.close(released.order),
        }
    }
}
