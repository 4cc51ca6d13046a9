//! The history of an order beside the order's own fold.

use domain::ids::InvoiceNo;
use domain::order::{
    CancelledFrom, CreditNoteImported, Order, OrderCancelled, OrderCommand, OrderConfirmed, OrderEvent,
    OrderImported, OrderPlaced, OrderRejected, OrderState, RejectReason, Unfulfillable,
};
use domain::text::Label;
use eventsourcing::aggregate::{Aggregate, Recorded};
use eventsourcing::projection::{Change, FoldError, View};
use proptest::prelude::*;
use proptest::sample::select;
use time::{Duration, OffsetDateTime};

use super::{recorded, sale};
use crate::order_history::{OrderHistory, OrderHistoryRow};
use crate::orders::{OrderRow, Orders};

/// As many as the rules let an order have.
const ENTRIES_MAX: usize = 3;

/// The date of an invoice, long before it was imported.
const INVOICED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_sub(Duration::days(365));

fn insufficient() -> RejectReason {
    RejectReason::InsufficientStock {
        sku: domain::sku::Sku::new("A").expect("valid"),
        available: 1,
        requested: 2,
    }
}

fn cancelled(from: CancelledFrom) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled {
        reason: Label::new("changed my mind").expect("valid"),
        from,
        sale: sale(),
    })
}

fn imported() -> OrderEvent {
    OrderEvent::Imported(OrderImported {
        invoice: invoice("536365"),
        ordered_at: INVOICED,
        sale: sale(),
    })
}

fn invoice(number: &str) -> InvoiceNo {
    InvoiceNo::new(number).expect("valid")
}

/// One of each kind.
fn kinds() -> Vec<OrderEvent> {
    vec![
        OrderEvent::Placed(OrderPlaced { sale: sale() }),
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
        OrderEvent::Rejected(OrderRejected {
            reason: insufficient(),
            items: sale().lines.items(),
        }),
        cancelled(CancelledFrom::Placed),
        imported(),
        OrderEvent::CreditNoteImported(CreditNoteImported {
            invoice: invoice("C536379"),
            ordered_at: INVOICED,
            sale: sale(),
        }),
    ]
}

fn opens(event: &OrderEvent) -> bool {
    match event {
        OrderEvent::Placed(_) | OrderEvent::Imported(_) | OrderEvent::CreditNoteImported(_) => true,
        OrderEvent::Confirmed(_) | OrderEvent::Rejected(_) | OrderEvent::Cancelled(_) => false,
    }
}

/// The events in turn, an hour and some nanoseconds apart.
fn in_turn(events: impl IntoIterator<Item = OrderEvent>) -> Vec<Recorded<OrderEvent>> {
    let numbered = (1..).zip(events).map(|(sequence, event)| {
        let mut event = recorded("order_1", sequence, event);
        event.time += Duration::new(i64::try_from(sequence).expect("small") * 3600, 123);
        event.meta.actor = format!("actor {sequence}").into();
        event.meta.correlation = format!("request {sequence}").into();
        event
    });
    numbered.collect()
}

fn fold<V: View<Event = OrderEvent>>(
    row: Option<&V::Row>,
    event: &Recorded<OrderEvent>,
) -> Result<V::Row, FoldError> {
    match V::fold(row, event)? {
        Change::Put(row) => Ok(row),
        Change::Delete | Change::Keep => panic!("an order stays"),
    }
}

/// The history, and the order after each event.
fn both(events: &[Recorded<OrderEvent>]) -> Result<(OrderHistoryRow, Vec<OrderRow>), FoldError> {
    let (mut history, mut orders) = (None, Vec::new());
    for event in events {
        orders.push(fold::<Orders>(orders.last(), event)?);
        history = Some(fold::<OrderHistory>(history.as_ref(), event)?);
    }
    Ok((history.expect("there are events"), orders))
}

/// Given these events, the order stood like this after each.
fn stood(events: impl IntoIterator<Item = OrderEvent>) -> Vec<(String, Option<String>)> {
    let (history, orders) = both(&in_turn(events)).expect("folds");
    let at: Vec<OrderRow> = history.entries.iter().map(|entry| history.at(entry)).collect();
    assert_eq!(at, orders);
    orders.into_iter().map(|row| (row.status, row.reason)).collect()
}

fn status(status: &str, reason: Option<&str>) -> (String, Option<String>) {
    (status.to_owned(), reason.map(str::to_owned))
}

#[test]
fn each_event_is_an_entry() {
    let [placed, confirmed, rejected, cancelled, imported, note] =
        <[OrderEvent; 6]>::try_from(kinds()).expect("one of each kind");
    let mind = Some("changed my mind");
    assert_eq!(
        stood([placed.clone(), confirmed, cancelled.clone()]),
        [
            status("placed", None),
            status("confirmed", None),
            status("cancelled", mind)
        ]
    );
    assert_eq!(
        stood([placed.clone(), cancelled]),
        [status("placed", None), status("cancelled", mind)]
    );
    assert_eq!(
        stood([placed, rejected]),
        [
            status("placed", None),
            status("rejected", Some("insufficient_stock"))
        ]
    );
    assert_eq!(stood([imported]), [status("imported", None)]);
    assert_eq!(stood([note]), [status("credit_note", None)]);
}

#[test]
fn an_entry_says_who_and_when() {
    let events = in_turn([kinds().swap_remove(0), cancelled(CancelledFrom::Placed)]);
    let (history, _) = both(&events).expect("folds");
    let entry = &history.entries[1];
    assert_eq!(
        (entry.sequence, entry.event_type.as_str()),
        (2, "daybook.order.cancelled.v1")
    );
    assert_eq!(
        (entry.actor.as_str(), entry.request_id.as_str()),
        ("actor 2", "request 2")
    );
    assert_eq!((entry.time, entry.event_id), (events[1].time, events[1].id().0));
}

#[test]
fn an_import_is_recorded_later_than_it_was_ordered() {
    let events = in_turn([imported()]);
    let (history, _) = both(&events).expect("folds");
    assert_eq!(
        (history.now.placed_at, history.entries[0].time),
        (INVOICED, events[0].time)
    );
}

#[test]
fn what_is_kept_once_cannot_change() {
    let events = in_turn([kinds().swap_remove(0), imported()]);
    let history = fold::<OrderHistory>(None, &events[0]).expect("folds");
    let refused =
        fold::<OrderHistory>(Some(&history), &events[1]).expect_err("another invoice, another date");
    assert!(refused.reason.contains("keeps once"), "{refused}");
}

#[test]
fn a_row_survives_its_table() {
    let (history, _) = both(&in_turn([
        kinds().swap_remove(0),
        cancelled(CancelledFrom::Placed),
    ]))
    .expect("folds");
    let text = serde_json::to_value(&history).expect("JSON");
    let columns = <OrderHistoryRow as eventsourcing::projection::Row>::TABLE.columns;
    let fields = text.as_object().expect("a row");
    assert_eq!(fields.len(), columns.len());
    assert!(columns.iter().all(|(name, _)| fields.contains_key(*name)));
    assert_eq!(
        serde_json::from_value::<OrderHistoryRow>(text).expect("a row"),
        history
    );
}

proptest! {
    /// Whatever events come in whatever order: as far as both folds go, each entry is the order as it stood.
    #[test]
    fn an_entry_is_the_order_of_its_sequence(events in proptest::collection::vec(select(kinds()), 1..8)) {
        let events = in_turn(events);
        for count in 1..=events.len() {
            match both(&events[..count]) {
                Ok((history, orders)) => {
                    let at: Vec<OrderRow> = history.entries.iter().map(|entry| history.at(entry)).collect();
                    prop_assert_eq!(at, orders);
                }
                // Nothing that follows an order that is there is refused, but another order in its place.
                Err(_) => prop_assert!(!opens(&events[0].event) || events[1..count].iter().any(|event| opens(&event.event))),
            }
        }
    }

    /// A history is as short as the rules make it, and never refused what they allow.
    #[test]
    fn a_history_is_bounded(asked in proptest::collection::vec(select(commands()), 1..20)) {
        let (mut state, mut events) = (OrderState::default(), Vec::new());
        for command in &asked {
            if let Ok(event) = Order::decide(&state, command) {
                Order::evolve(&mut state, &event);
                events.push(event);
            }
        }
        prop_assume!(!events.is_empty());
        let (history, orders) = both(&in_turn(events)).expect("what the rules allow is folded");
        prop_assert!(history.entries.len() <= ENTRIES_MAX);
        let at: Vec<OrderRow> = history.entries.iter().map(|entry| history.at(entry)).collect();
        prop_assert_eq!(at, orders);
    }
}

fn commands() -> Vec<OrderCommand> {
    vec![
        OrderCommand::Place(sale()),
        OrderCommand::Confirm,
        OrderCommand::Reject {
            reason: Unfulfillable::InsufficientStock {
                sku: domain::sku::Sku::new("A").expect("valid"),
                available: 1,
            },
        },
        OrderCommand::Cancel {
            reason: Label::new("changed my mind").expect("valid"),
        },
        OrderCommand::Import {
            invoice: invoice("536365"),
            ordered_at: INVOICED,
            sale: sale(),
        },
        OrderCommand::ImportCreditNote {
            invoice: invoice("C536379"),
            ordered_at: INVOICED,
            sale: sale(),
        },
    ]
}
