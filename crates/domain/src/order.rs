//! An order: placed, then confirmed, rejected or cancelled; or imported from history.

mod command;
mod error;
mod event;
pub mod line;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use eventsourcing::aggregate::Aggregate;

pub use command::{Mispriced, OrderCommand, Sale, Unfulfillable};
pub use error::OrderRefusal;
pub use event::{
    CreditNoteImported, OrderCancelled, OrderConfirmed, OrderEvent, OrderImported, OrderPlaced,
    OrderRejected, RejectReason,
};
pub use line::{Item, LINES_MAX, Line, Lines};
pub use state::{CancelledFrom, OrderState};

/// The aggregate; its topic is `orders`.
pub struct Order;

/// The service whose topic holds it.
pub const SERVICE: &str = "orders";

impl Aggregate for Order {
    type State = OrderState;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Refusal = OrderRefusal;

    fn decide(state: &OrderState, command: &OrderCommand) -> Result<OrderEvent, OrderRefusal> {
        use {OrderCommand as Command, OrderEvent as Event, OrderState as State};
        match (command, state) {
            (Command::Place(sale), State::None) => Ok(Event::Placed(OrderPlaced {
                sale: Arc::clone(sale),
            })),
            (Command::PlaceMispriced(mispriced), State::None) => Err(mispriced.clone().into()),
            (
                Command::Import {
                    invoice,
                    ordered_at,
                    sale,
                },
                State::None,
            ) => {
                let (invoice, ordered_at, sale) = (invoice.clone(), *ordered_at, Arc::clone(sale));
                Ok(Event::Imported(OrderImported {
                    invoice,
                    ordered_at,
                    sale,
                }))
            }
            (
                Command::ImportCreditNote {
                    invoice,
                    ordered_at,
                    sale,
                },
                State::None,
            ) => {
                let (invoice, ordered_at, sale) = (invoice.clone(), *ordered_at, Arc::clone(sale));
                Ok(Event::CreditNoteImported(CreditNoteImported {
                    invoice,
                    ordered_at,
                    sale,
                }))
            }
            (
                Command::Place(_)
                | Command::PlaceMispriced(_)
                | Command::Import { .. }
                | Command::ImportCreditNote { .. },
                _,
            ) => Err(OrderRefusal::OrderExists),
            (_, State::None) => Err(OrderRefusal::OrderNotFound),
            (Command::Confirm, State::Placed(sale)) => Ok(Event::Confirmed(OrderConfirmed {
                sale: Arc::clone(sale),
            })),
            (Command::Reject { reason }, State::Placed(sale)) => {
                let items = sale.lines.items();
                let reason = RejectReason::of(reason, &items);
                Ok(Event::Rejected(OrderRejected { reason, items }))
            }
            (Command::Confirm | Command::Reject { .. }, _) => Err(OrderRefusal::NotPlaced),
            (Command::Cancel { reason }, State::Placed(sale)) => {
                let (reason, sale) = (reason.clone(), Arc::clone(sale));
                Ok(Event::Cancelled(OrderCancelled {
                    reason,
                    from: CancelledFrom::Placed,
                    sale,
                }))
            }
            (Command::Cancel { reason }, State::Confirmed(sale)) => {
                let (reason, sale) = (reason.clone(), Arc::clone(sale));
                Ok(Event::Cancelled(OrderCancelled {
                    reason,
                    from: CancelledFrom::Confirmed,
                    sale,
                }))
            }
            (Command::Cancel { .. }, _) => Err(OrderRefusal::NotCancellable),
        }
    }

    fn evolve(state: &mut OrderState, event: &OrderEvent) {
        *state = match event {
            OrderEvent::Placed(placed) => OrderState::Placed(Arc::clone(&placed.sale)),
            OrderEvent::Confirmed(confirmed) => OrderState::Confirmed(Arc::clone(&confirmed.sale)),
            OrderEvent::Rejected(_) => OrderState::Rejected,
            OrderEvent::Cancelled(_) => OrderState::Cancelled,
            OrderEvent::Imported(_) => OrderState::Imported,
            OrderEvent::CreditNoteImported(_) => OrderState::CreditNote,
        };
    }
}
