//! The checkout: a placed order gets its stock, or is rejected.
//!
//! ```text
//! OrderPlaced                    reserve each SKU; all there: confirm the order, else reject it
//! OrderConfirmed                 confirm the reservations
//! OrderRejected, OrderCancelled  release the reservations
//! ```
//!
//! The order's own event is the decision, and it comes *before* its consequences. So a crash between
//! any two steps repeats them under the same command ids and can never reserve again what a decision
//! has released: a stock item refuses an order it has released, and a decided order stays decided.

#[cfg(test)]
mod tests;

use eventsourcing::aggregate::Recorded;
use eventsourcing::process::Process;

use crate::ids::OrderId;
use crate::order::{Item, OrderCommand, OrderEvent, Unfulfillable};
use crate::stock_item::{StockCommand, StockRefusal};

/// The process.
pub struct Checkout;

/// What is to be done about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose.
    pub order: OrderId,
    /// What for.
    pub stage: Stage,
    /// The stock concerned, each SKU once.
    pub items: Vec<Item>,
}

/// The part of the checkout that an event starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hold the stock, then decide the order.
    Reserve,
    /// The order is confirmed.
    Confirm,
    /// The order is off.
    Release,
}

/// How the plan goes on after an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the next item.
    Continue,
    /// The plan is over, with this decision on the order.
    Decide(OrderCommand),
    /// The plan is over: the order was decided otherwise.
    Stop,
}

impl Process for Checkout {
    const NAME: &'static str = "checkout";
    type Event = OrderEvent;
    type Plan = Plan;

    fn react(event: &Recorded<OrderEvent>) -> Option<Plan> {
        let (stage, items) = match &event.event {
            OrderEvent::Placed(placed) => (Stage::Reserve, placed.sale.lines.items()),
            OrderEvent::Confirmed(confirmed) => (Stage::Confirm, confirmed.sale.lines.items()),
            OrderEvent::Rejected(rejected) => (Stage::Release, rejected.items.clone()),
            OrderEvent::Cancelled(cancelled) => (Stage::Release, cancelled.sale.lines.items()),
            // What is history has left the house long ago.
            OrderEvent::Imported(_) | OrderEvent::CreditNoteImported(_) => return None,
        };
        // Every order's key is an order id; one that is not cannot hold reservations.
        let order = event.aggregate.as_str().parse().ok()?;
        Some(Plan { order, stage, items })
    }
}

impl Plan {
    /// The command to the stock of `item`.
    pub fn command(&self, item: &Item) -> StockCommand {
        let order = self.order;
        match self.stage {
            Stage::Reserve => StockCommand::Reserve {
                order,
                quantity: item.quantity,
            },
            Stage::Confirm => StockCommand::Confirm { order },
            Stage::Release => StockCommand::Release { order },
        }
    }

    /// The name of the step, for its command id.
    pub const fn step(&self) -> &'static str {
        match self.stage {
            Stage::Reserve => "reserve",
            Stage::Confirm => "confirm",
            Stage::Release => "release",
        }
    }

    /// What follows from the stock's answer about `item`.
    pub fn after(&self, item: &Item, answer: Result<(), &StockRefusal>) -> Next {
        let Err(refusal) = answer else {
            return Next::Continue;
        };
        match (self.stage, refusal) {
            (Stage::Reserve, StockRefusal::InsufficientStock { available }) => {
                let (sku, available) = (item.sku.clone(), *available);
                let reason = Unfulfillable::InsufficientStock { sku, available };
                Next::Decide(OrderCommand::Reject { reason })
            }
            // Only a decision releases; so there is one, and this is a repeat from before it.
            (Stage::Reserve, StockRefusal::ReservationClosed) => Next::Stop,
            // Reserving again finds what a crash left held; confirming and releasing again, or what
            // was never held, changes nothing.
            (Stage::Reserve, StockRefusal::AlreadyReserved { .. })
            | (
                Stage::Confirm | Stage::Release,
                StockRefusal::NoReservation
                | StockRefusal::AlreadyConfirmed
                | StockRefusal::ReservationClosed,
            ) => Next::Continue,
            // A stock item answers no other way to these commands; if it ever does, stop and let the
            // order stay as it is rather than guess.
            (
                _,
                StockRefusal::InsufficientStock { .. }
                | StockRefusal::AlreadyReserved { .. }
                | StockRefusal::NoReservation
                | StockRefusal::AlreadyConfirmed
                | StockRefusal::NothingToAdjust
                | StockRefusal::StockOutOfBounds { .. },
            ) => Next::Stop,
        }
    }

    /// The decision when every item was answered with [`Next::Continue`].
    pub const fn conclusion(&self) -> Option<OrderCommand> {
        match self.stage {
            Stage::Reserve => Some(OrderCommand::Confirm),
            Stage::Confirm | Stage::Release => None,
        }
    }
}
