//! The process against real aggregates in memory, with crashes and repeats in any order.

use std::sync::Arc;

use std::collections::BTreeMap;

use eventsourcing::aggregate::Aggregate;
use eventsourcing::ids::CommandId;
use proptest::prelude::*;

use super::*;
use crate::money::Price;
use crate::order::{Line, Lines, Order, OrderPlaced, OrderState, Sale};
use crate::quantity::Quantity;
use crate::sku::Sku;
use crate::stock_item::{StockItem, StockState};

/// A shop in memory, without the idempotency memory of the engine: the rules alone must hold.
struct Shop {
    stock: BTreeMap<Sku, StockState>,
    orders: BTreeMap<OrderId, OrderState>,
    /// What the process has to work off, in order per order.
    events: Vec<(OrderId, OrderEvent)>,
}

impl Shop {
    fn order(&mut self, id: OrderId, command: &OrderCommand) {
        let state = self.orders.entry(id).or_default();
        if let Ok(event) = Order::decide(state, command) {
            Order::evolve(state, &event);
            self.events.push((id, event));
        }
    }

    /// Works off one event; `crash_after` steps it dies.
    fn work(&mut self, index: usize, crash_after: Option<usize>) {
        let (order, event) = self.events[index].clone();
        let (stage, items) = match &event {
            OrderEvent::Placed(placed) => (Stage::Reserve, placed.sale.lines.items()),
            OrderEvent::Confirmed(confirmed) => (Stage::Confirm, confirmed.sale.lines.items()),
            OrderEvent::Rejected(rejected) => (Stage::Release, rejected.items.clone()),
            OrderEvent::Cancelled(cancelled) => (Stage::Release, cancelled.sale.lines.items()),
            OrderEvent::Imported(_) | OrderEvent::CreditNoteImported(_) => return,
        };
        let plan = Plan { order, stage, items };
        for (step, item) in plan.items.iter().enumerate() {
            if crash_after == Some(step) {
                return;
            }
            let state = self.stock.entry(item.sku.clone()).or_default();
            let answer = StockItem::decide(state, &plan.command(item));
            if let Ok(event) = &answer {
                StockItem::evolve(state, event);
            }
            match plan.after(item, answer.as_ref().map(|_| ())) {
                Next::Continue => {}
                Next::Decide(decision) => return self.order(order, &decision),
                Next::Stop => return,
            }
        }
        if crash_after.is_none()
            && let Some(decision) = plan.conclusion()
        {
            self.order(order, &decision);
        }
    }
}

fn id(number: usize) -> OrderId {
    OrderId::created_by(CommandId::of_key("test", &number.to_string()))
}

fn sku(number: u8) -> Sku {
    Sku::new(format!("SKU-{number}")).expect("valid")
}

fn sale(wanted: &[(u8, i64)]) -> Arc<Sale> {
    let line = |(number, units): &(u8, i64)| Line {
        sku: sku(*number),
        quantity: Quantity::new(*units).expect("valid"),
        unit_price: Price::new(1).expect("valid"),
    };
    let lines = Lines::new(wanted.iter().map(line).collect()).expect("valid");
    Arc::new(Sale {
        customer: None,
        country: None,
        currency: "EUR".parse().expect("known"),
        lines: lines.into(),
    })
}

proptest! {
    /// Orders compete for stock; the process dies at any step and repeats; some orders are cancelled.
    /// In the end each is decided once, and exactly the confirmed ones hold exactly their units.
    #[test]
    fn nothing_is_oversold_and_nothing_leaks(
        on_hand in proptest::collection::vec(0..12_i64, 3),
        wanted in proptest::collection::vec(proptest::collection::vec((0..3_u8, 1..5_i64), 1..4), 1..8),
        crashes in proptest::collection::vec((0..8_usize, 0..4_usize), 0..12),
        cancelled in proptest::collection::vec(0..8_usize, 0..4),
    ) {
        let mut shop = Shop { stock: BTreeMap::new(), orders: BTreeMap::new(), events: Vec::new() };
        for (number, units) in (0..).zip(&on_hand) {
            if let Ok(quantity) = Quantity::new(*units) {
                let state = shop.stock.entry(sku(number)).or_default();
                let event = StockItem::decide(state, &StockCommand::Receive { quantity }).expect("room");
                StockItem::evolve(state, &event);
            }
        }
        for (number, wanted) in wanted.iter().enumerate() {
            shop.order(id(number), &OrderCommand::Place(sale(wanted)));
        }
        // Runs that die half way, in any order of the orders.
        for (index, steps) in crashes {
            if index < shop.events.len() {
                shop.work(index, Some(steps));
            }
        }
        for number in cancelled {
            let reason = crate::text::Label::new("test").expect("valid");
            shop.order(id(number), &OrderCommand::Cancel { reason });
        }
        // Then everything in the log's order, as after a restart.
        let mut index = 0;
        while index < shop.events.len() {
            shop.work(index, None);
            index += 1;
        }
        let mut held: BTreeMap<Sku, i64> = BTreeMap::new();
        for (number, wanted) in wanted.iter().enumerate() {
            let state = &shop.orders[&id(number)];
            prop_assert!(state.is_settled(), "{state:?}");
            if let OrderState::Confirmed(_) = state {
                for item in sale(wanted).lines.items() {
                    *held.entry(item.sku).or_default() += i64::from(item.quantity.units());
                }
            }
        }
        for (sku, state) in &shop.stock {
            prop_assert!(state.available() >= 0);
            prop_assert_eq!(state.reserved(), held.get(sku).copied().unwrap_or_default(), "{}", sku);
        }
    }
}

#[test]
fn imported_orders_start_no_process() {
    use eventsourcing::codec::Meta;
    use eventsourcing::ids::{Digest, Epoch, Offset, OwnerId, Sequence};
    use eventsourcing::rule::Term;
    use eventsourcing::topic::Topic;

    let recorded = |event: OrderEvent| Recorded {
        event,
        aggregate: id(1).aggregate(),
        time: time::OffsetDateTime::UNIX_EPOCH,
        at: Topic::events("test", "orders").partition(0),
        offset: Offset(0),
        meta: Meta {
            sequence: Sequence(1),
            term: Term {
                epoch: Epoch(1),
                owner: OwnerId(uuid::Uuid::nil()),
            },
            command: CommandId::of_key("test", "1"),
            digest: Digest(0),
            correlation: "".into(),
            causation: None,
            actor: "".into(),
        },
        traceparent: None,
    };
    let imported = OrderEvent::Imported(crate::order::OrderImported {
        invoice: crate::ids::InvoiceNo::new("1").expect("valid"),
        ordered_at: time::OffsetDateTime::UNIX_EPOCH,
        sale: sale(&[(0, 1)]),
    });
    assert_eq!(Checkout::react(&recorded(imported)), None);
    let plan = Checkout::react(&recorded(OrderEvent::Placed(OrderPlaced {
        sale: sale(&[(0, 1)]),
    })));
    assert_eq!(plan.map(|plan| plan.stage), Some(Stage::Reserve));
}
