use std::sync::Arc;

use eventsourcing::given::given;

use super::*;
use crate::money::Price;
use crate::quantity::Quantity;
use crate::sku::Sku;
use crate::text::Label;

fn line(sku: &str, quantity: i64, unit_price: i64) -> Line {
    Line {
        sku: Sku::new(sku).expect("valid"),
        quantity: Quantity::new(quantity).expect("valid"),
        unit_price: Price::new(unit_price).expect("valid"),
    }
}

fn sale() -> Arc<Sale> {
    Arc::new(Sale {
        customer: None,
        country: None,
        currency: "EUR".parse().expect("known"),
        lines: Lines::new(vec![line("B", 1, 100), line("A", 2, 250), line("B", 3, 90)])
            .expect("valid")
            .into(),
    })
}

fn placed() -> OrderEvent {
    OrderEvent::Placed(OrderPlaced { sale: sale() })
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed(OrderConfirmed { sale: sale() })
}

/// Of the two lines with it together.
fn short() -> Sku {
    Sku::new("B").expect("valid")
}

fn reason() -> Unfulfillable {
    Unfulfillable::InsufficientStock {
        sku: short(),
        available: 1,
    }
}

fn rejected() -> OrderEvent {
    OrderEvent::Rejected(OrderRejected {
        reason: RejectReason::InsufficientStock {
            sku: short(),
            available: 1,
            requested: 4,
        },
        items: sale().lines.items(),
    })
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel {
        reason: Label::new("changed my mind").expect("valid"),
    }
}

fn cancelled(from: CancelledFrom) -> OrderEvent {
    let reason = Label::new("changed my mind").expect("valid");
    OrderEvent::Cancelled(OrderCancelled {
        reason,
        from,
        sale: sale(),
    })
}

#[test]
fn an_order_is_placed_once() {
    given::<Order>([])
        .when(&OrderCommand::Place(sale()))
        .then(&placed());
    given::<Order>([placed()])
        .when(&OrderCommand::Place(sale()))
        .then_refused(&OrderRefusal::OrderExists);
}

#[test]
fn a_placed_order_is_confirmed_or_rejected_once() {
    given::<Order>([placed()])
        .when(&OrderCommand::Confirm)
        .then(&confirmed());
    given::<Order>([placed()])
        .when(&OrderCommand::Reject { reason: reason() })
        .then(&rejected());
    for decided in [confirmed(), rejected(), cancelled(CancelledFrom::Placed)] {
        for command in [OrderCommand::Confirm, OrderCommand::Reject { reason: reason() }] {
            given::<Order>([placed(), decided.clone()])
                .when(&command)
                .then_refused(&OrderRefusal::NotPlaced);
        }
    }
}

#[test]
fn an_order_is_cancelled_until_it_is_over() {
    given::<Order>([placed()])
        .when(&cancel())
        .then(&cancelled(CancelledFrom::Placed));
    given::<Order>([placed(), confirmed()])
        .when(&cancel())
        .then(&cancelled(CancelledFrom::Confirmed));
    given::<Order>([placed(), rejected()])
        .when(&cancel())
        .then_refused(&OrderRefusal::NotCancellable);
}

#[test]
fn what_is_not_there_is_not_found() {
    for command in [
        OrderCommand::Confirm,
        OrderCommand::Reject { reason: reason() },
        cancel(),
    ] {
        given::<Order>([])
            .when(&command)
            .then_refused(&OrderRefusal::OrderNotFound);
    }
}

#[test]
fn the_total_is_the_sum_of_the_lines() {
    assert_eq!((sale().lines.total(), sale().lines.units()), (100 + 500 + 270, 6));
}

#[test]
fn lines_of_one_sku_are_summed_first() {
    let items: Vec<(String, u32)> = sale()
        .lines
        .items()
        .iter()
        .map(|item| (item.sku.to_string(), item.quantity.units()))
        .collect();
    assert_eq!(items, [("A".to_owned(), 2), ("B".to_owned(), 4)]);
}

#[test]
fn lines_have_limits() {
    let code = |lines: Vec<Line>| Lines::new(lines).expect_err("refused").code;
    assert_eq!(code(Vec::new()), "empty_order");
    assert_eq!(code(vec![line("A", 1, 1); LINES_MAX + 1]), "too_many_lines");
    assert_eq!(
        code(vec![line("A", 600_000, 1), line("A", 600_000, 1)]),
        "invalid_quantity"
    );
    let dear: Vec<Line> = (0..LINES_MAX)
        .map(|number| line(&format!("SKU-{number}"), 1_000_000, crate::money::PRICE_MAX))
        .collect();
    assert_eq!(
        Lines::new(dear).map(|lines| lines.total()),
        Ok(2_000_000_000_000_000_000)
    );
}

#[test]
fn a_price_that_does_not_stand_is_refused() {
    let mispriced = OrderCommand::PlaceMispriced(Mispriced::UnknownSku { line: 1 });
    given::<Order>([])
        .when(&mispriced)
        .then_refused(&OrderRefusal::UnknownSku { line: 1 });
    let now = crate::money::Money {
        amount: 1000,
        currency: "EUR".parse().expect("known"),
    };
    let mispriced = OrderCommand::PlaceMispriced(Mispriced::PriceChanged { line: 0, now });
    given::<Order>([])
        .when(&mispriced)
        .then_refused(&OrderRefusal::PriceChanged { line: 0, now });
    given::<Order>([placed()])
        .when(&mispriced)
        .then_refused(&OrderRefusal::OrderExists);
}

/// What is decided today and what an old build wrote of the same order are one event.
#[test]
fn a_rejection_of_the_first_version_becomes_the_present_one() {
    use eventsourcing::aggregate::Event;
    let old = br#"{"reason":{"code":"insufficient_stock","sku":"B","available":1},
                   "items":[{"sku":"A","quantity":2},{"sku":"B","quantity":4}]}"#;
    let read = OrderEvent::decode("daybook.order.rejected.v1", old).expect("reads");
    assert_eq!(read, rejected());
    let strange = br#"{"reason":{"code":"insufficient_stock","sku":"C","available":0},"items":[]}"#;
    let read = OrderEvent::decode("daybook.order.rejected.v1", strange).expect("reads");
    let OrderEvent::Rejected(OrderRejected { reason, .. }) = read else {
        panic!("{read:?}")
    };
    let RejectReason::InsufficientStock { requested, .. } = reason;
    assert_eq!(requested, 0, "nothing of it was asked for");
}

/// Nodes of other builds send it and take it.
#[test]
fn the_command_to_reject_keeps_its_form() {
    let command = serde_json::to_string(&OrderCommand::Reject { reason: reason() }).expect("JSON");
    let form = r#"{"reject":{"reason":{"code":"insufficient_stock","sku":"B","available":1}}}"#;
    assert_eq!(command, form);
}
