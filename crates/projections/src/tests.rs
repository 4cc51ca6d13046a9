//! The folds, pure.

mod history;

use std::sync::Arc;

use domain::order::{
    CancelledFrom, CreditNoteImported, Line, Lines, OrderCancelled, OrderConfirmed, OrderEvent,
    OrderImported, OrderPlaced, OrderRejected, RejectReason, Sale,
};
use domain::stock_item::{StockEvent, StockReceived, StockReserved};
use eventsourcing::aggregate::{Event, Recorded};
use eventsourcing::codec::Meta;
use eventsourcing::ids::{CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use eventsourcing::projection::{Change, Counter, Tally, View};
use eventsourcing::rule::Term;
use eventsourcing::topic::Topic;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::availability::Availability;
use crate::orders::{Orders, Shortage};
use crate::sales::Sales;

fn recorded<E>(aggregate: &str, sequence: u64, event: E) -> Recorded<E> {
    Recorded {
        event,
        aggregate: aggregate.parse().expect("valid"),
        time: OffsetDateTime::UNIX_EPOCH,
        at: Topic::events("test", "orders").partition(0),
        offset: Offset(sequence),
        meta: Meta {
            sequence: Sequence(sequence),
            term: Term {
                epoch: Epoch(1),
                owner: OwnerId(Uuid::nil()),
            },
            command: CommandId(Uuid::from_u128(sequence.into())),
            digest: Digest(0),
            correlation: "".into(),
            causation: None,
            actor: "".into(),
        },
        traceparent: None,
    }
}

fn sale() -> Arc<Sale> {
    let line = |sku: &str, quantity: i64, unit_price: i64| Line {
        sku: domain::sku::Sku::new(sku).expect("valid"),
        quantity: domain::quantity::Quantity::new(quantity).expect("valid"),
        unit_price: domain::money::Price::new(unit_price).expect("valid"),
    };
    let lines = Lines::new(vec![line("A", 2, 100), line("B", 1, 50), line("A", 1, 90)]).expect("valid");
    Arc::new(Sale {
        customer: None,
        country: None,
        currency: "EUR".parse().expect("known"),
        lines: lines.into(),
    })
}

#[test]
fn an_order_row_follows_its_events() {
    let placed = recorded("order_1", 1, OrderEvent::Placed(OrderPlaced { sale: sale() }));
    let Ok(Change::Put(row)) = Orders::fold(None, &placed) else {
        panic!("a row")
    };
    assert_eq!(
        (row.status.as_str(), row.total, row.units, row.sequence),
        ("placed", 340, 4, 1)
    );
    let confirmed = recorded(
        "order_1",
        2,
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
    );
    let Ok(Change::Put(row)) = Orders::fold(Some(&row), &confirmed) else {
        panic!("a row")
    };
    assert_eq!((row.status.as_str(), row.sequence), ("confirmed", 2));
}

#[test]
fn a_rejected_order_says_what_was_short() {
    let placed = recorded("order_1", 1, OrderEvent::Placed(OrderPlaced { sale: sale() }));
    let Ok(Change::Put(row)) = Orders::fold(None, &placed) else {
        panic!("a row")
    };
    assert_eq!(row.shortage, None);
    let sku = domain::sku::Sku::new("A").expect("valid");
    let reason = RejectReason::InsufficientStock {
        sku,
        available: 1,
        requested: 3,
    };
    let items = sale().lines.items();
    let rejected = OrderEvent::Rejected(OrderRejected { reason, items });
    let Ok(Change::Put(row)) = Orders::fold(Some(&row), &recorded("order_1", 2, rejected)) else {
        panic!("a row")
    };
    let shortage = Shortage {
        sku: "A".to_owned(),
        requested: 3,
        available: 1,
    };
    assert_eq!(
        (row.reason.as_deref(), row.shortage),
        (Some("insufficient_stock"), Some(shortage))
    );
}

#[test]
fn a_gap_in_the_sequence_is_never_skipped() {
    let late = recorded("order_1", 3, OrderEvent::Placed(OrderPlaced { sale: sale() }));
    assert!(Orders::fold(None, &late).is_err());
    let orphan = recorded(
        "order_1",
        1,
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
    );
    assert!(Orders::fold(None, &orphan).is_err());
}

#[test]
fn availability_is_on_hand_less_reserved() {
    let quantity = |units| domain::quantity::Quantity::new(units).expect("valid");
    let received = StockEvent::Received(StockReceived {
        quantity: quantity(5),
    });
    let Ok(Change::Put(row)) = Availability::fold(None, &recorded("stock_A 1", 1, received)) else {
        panic!("a row")
    };
    let order = domain::ids::OrderId::created_by(CommandId(Uuid::nil()));
    let reserved = StockEvent::Reserved(StockReserved {
        order,
        quantity: quantity(2),
    });
    let Ok(Change::Put(row)) = Availability::fold(Some(&row), &recorded("stock_A 1", 2, reserved)) else {
        panic!("a row")
    };
    assert_eq!(
        (row.sku.as_str(), row.on_hand, row.reserved, row.available),
        ("A 1", 5, 2, 3)
    );
}

#[test]
fn sales_count_each_sku_once_per_order() {
    let confirmed = recorded(
        "order_1",
        2,
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
    );
    let counted = Sales::count(&confirmed).expect("counts");
    let of = |dimension: &str, key: &str| {
        let row = counted
            .iter()
            .find(|row| row.dimension == dimension && row.key == key)
            .expect("there");
        (row.orders, row.units, row.revenue)
    };
    assert_eq!(of("country", "unknown"), (1, 4, 340));
    assert_eq!(of("month", "1970-01"), (1, 4, 340));
    assert_eq!((of("sku", "A"), of("sku", "B")), ((1, 3, 290), (1, 1, 50)));
}

#[test]
fn a_cancelled_sale_is_taken_back() {
    let confirmed = recorded(
        "order_1",
        2,
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
    );
    let reason = domain::text::Label::new("why").expect("valid");
    let cancelled = OrderCancelled {
        reason,
        from: CancelledFrom::Confirmed,
        sale: sale(),
    };
    let cancelled = recorded("order_1", 3, OrderEvent::Cancelled(cancelled));
    let mut sums = Sales::count(&confirmed).expect("counts");
    for (sum, back) in sums.iter_mut().zip(Sales::count(&cancelled).expect("counts")) {
        sum.add(&back).expect("small");
        assert_eq!((sum.orders, sum.units, sum.revenue), (0, 0, 0));
    }
}

#[test]
fn a_counter_that_overflows_is_an_error() {
    let confirmed = recorded(
        "order_1",
        2,
        OrderEvent::Confirmed(OrderConfirmed { sale: sale() }),
    );
    let mut row = Sales::count(&confirmed).expect("counts").remove(0);
    let other = crate::sales::SalesRow {
        revenue: i64::MAX,
        ..row.clone()
    };
    assert!(row.add(&other).is_err());
}

#[test]
fn an_imported_order_happened_when_it_was_ordered_and_all_else_when_it_was_decided() {
    let ordered_at = time::macros::datetime!(2011-06-29 23:59 UTC);
    let invoice = domain::ids::InvoiceNo::new("536365").expect("valid");
    let imported = OrderEvent::Imported(OrderImported {
        invoice: invoice.clone(),
        ordered_at,
        sale: sale(),
    });
    let note = OrderEvent::CreditNoteImported(CreditNoteImported {
        invoice,
        ordered_at,
        sale: sale(),
    });
    for past in [imported, note] {
        assert!(OrderEvent::TYPES.contains(&past.event_type()));
        assert_eq!(past.happened_at(), Some(ordered_at));
        assert_eq!(recorded("order_1", 1, past).happened_at(), ordered_at);
    }
    let placed = OrderEvent::Placed(OrderPlaced { sale: sale() });
    assert_eq!(placed.happened_at(), None);
    let placed = recorded("order_1", 1, placed);
    assert_eq!(placed.happened_at(), placed.time);
}

/// PostgreSQL takes 63 bytes, and cuts a longer name off without an error.
#[test]
fn the_name_of_a_snapshot_fits_into_postgresql() {
    for projection in crate::read_models() {
        let longest = projection.name().len() + eventsourcing::snapshot::SUFFIX_BYTES_MAX + "_v9999".len();
        assert!(longest <= 63, "{}", projection.name());
    }
}
