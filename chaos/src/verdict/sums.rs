//! I11: the shop's own sums. Nothing is oversold, every order is settled once, and what was shown at a sequence
//! is what the log says of it.

use std::collections::{BTreeMap, HashMap};

use domain::ids::{OrderId, stock_of};
use domain::order::OrderEvent;
use domain::sku::Sku;
use domain::stock_item::StockEvent;
use eventsourcing::aggregate::{Event, Recorded};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::AggregateId;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict as Judged};
use eventsourcing::topic::TopicPartition;

use super::{Evidence, Verdict};

/// Units of one SKU after each of its events; the first is before any.
type Units = Vec<(i64, i64)>;

/// What an order holds of one stock item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    reserved: u32,
    confirmed: u32,
    released: u32,
}

pub(super) fn check(evidence: &Evidence, verdict: &mut Verdict) {
    let mut stock: HashMap<AggregateId, Units> = HashMap::new();
    let mut held: HashMap<(OrderId, AggregateId), Held> = HashMap::new();
    for event in events::<StockEvent>(&evidence.inventory_log) {
        move_stock(&event, &mut stock, &mut held, verdict);
    }
    let confirmed = settled(&evidence.orders_log, &held, verdict);
    shown(evidence, &stock, verdict);
    for (id, row) in &evidence.rows.availability {
        let units = stock.get(id).and_then(|units| units.last()).copied();
        if units != Some((row.on_hand, row.reserved)) {
            verdict.breach(format!(
                "I11: {id} is shown as {row:?}, the log sums up to {units:?}"
            ));
        }
    }
    let sum = |of: fn(&(i64, i64)) -> i64| {
        stock
            .values()
            .filter_map(|units| units.last())
            .map(of)
            .sum::<i64>()
    };
    verdict.note(format!(
        "sums exact: {} units on hand, {} reserved, 0 oversold; {confirmed} orders confirmed, each settled once; {} \
         rows seen by readers equal to the log at their sequence",
        sum(|units| units.0),
        sum(|units| units.1),
        evidence.shown.len()
    ));
}

fn move_stock(
    event: &Recorded<StockEvent>,
    stock: &mut HashMap<AggregateId, Units>,
    held: &mut HashMap<(OrderId, AggregateId), Held>,
    verdict: &mut Verdict,
) {
    let units = stock
        .entry(event.aggregate.clone())
        .or_insert_with(|| vec![(0, 0)]);
    let (mut on_hand, mut reserved) = units.last().copied().unwrap_or_default();
    let mut note = |order, change: fn(&mut Held)| {
        change(held.entry((order, event.aggregate.clone())).or_default());
    };
    match &event.event {
        StockEvent::Received(received) => on_hand += i64::from(received.quantity.units()),
        StockEvent::Adjusted(adjusted) => on_hand += adjusted.delta,
        StockEvent::Reserved(taken) => {
            reserved += i64::from(taken.quantity.units());
            note(taken.order, |held| held.reserved += 1);
        }
        StockEvent::Confirmed(firm) => note(firm.order, |held| held.confirmed += 1),
        StockEvent::Released(freed) => {
            reserved -= i64::from(freed.quantity.units());
            note(freed.order, |held| held.released += 1);
        }
    }
    if reserved > on_hand || reserved < 0 {
        let position = event.position();
        verdict.breach(format!(
            "I11: {} has {reserved} of {on_hand} reserved at {position}",
            event.aggregate
        ));
    }
    units.push((on_hand, reserved));
}

/// Each order is placed once and decided once, and holds what was decided. How many are confirmed.
fn settled(log: &[Stored], held: &HashMap<(OrderId, AggregateId), Held>, verdict: &mut Verdict) -> usize {
    let mut orders: BTreeMap<AggregateId, Vec<OrderEvent>> = BTreeMap::new();
    for event in events::<OrderEvent>(log) {
        orders.entry(event.aggregate).or_default().push(event.event);
    }
    let mut confirmed = 0;
    for (id, events) in &orders {
        let of = |sku: &Sku| {
            let order: OrderId = id.as_str().parse().ok()?;
            Some(held.get(&(order, stock_of(sku))).copied().unwrap_or_default())
        };
        let firm = Held {
            reserved: 1,
            confirmed: 1,
            released: 0,
        };
        match &events[..] {
            [OrderEvent::Placed(_), OrderEvent::Confirmed(sold)] => {
                confirmed += 1;
                for item in sold.sale.lines.items() {
                    if of(&item.sku) != Some(firm) {
                        verdict.breach(format!(
                            "I11: {id} is confirmed and holds {:?} of {}",
                            of(&item.sku),
                            item.sku
                        ));
                    }
                }
            }
            [OrderEvent::Placed(_), OrderEvent::Rejected(rejected)] => {
                for item in &rejected.items {
                    if !of(&item.sku)
                        .is_some_and(|held| held.reserved == held.released && held.confirmed == 0)
                    {
                        verdict.breach(format!(
                            "I11: {id} is rejected and holds {:?} of {}",
                            of(&item.sku),
                            item.sku
                        ));
                    }
                }
            }
            others => verdict.breach(format!("I11: {id} is not settled once: {others:?}")),
        }
    }
    confirmed
}

/// What readers saw is what the log says of the sequence they saw.
fn shown(evidence: &Evidence, stock: &HashMap<AggregateId, Units>, verdict: &mut Verdict) {
    for shown in &evidence.shown {
        let units = usize::try_from(shown.sequence.0).ok().and_then(|sequence| {
            let units = stock.get(&shown.aggregate)?;
            units.get(sequence).copied()
        });
        if units != Some((shown.on_hand, shown.reserved)) {
            verdict.breach(format!(
                "I6: a reader was shown {shown:?}, the log says {units:?}"
            ));
        }
    }
}

/// All events that count, in the order of each partition. What cannot be read is the checker's to tell.
fn events<E: Event>(log: &[Stored]) -> impl Iterator<Item = Recorded<E>> {
    let mut rules: HashMap<TopicPartition, Rule> = HashMap::new();
    let mut ordered: Vec<&Stored> = log.iter().collect();
    ordered.sort_by(|one, other| (&one.at, one.offset).cmp(&(&other.at, other.offset)));
    ordered.into_iter().filter_map(move |stored| {
        let parsed = codec::parse(stored).ok()?;
        let judged = rules.entry(stored.at.clone()).or_default().judge(parsed.claim());
        match (judged, parsed) {
            (Judged::Accepted, Parsed::Event(envelope)) => codec::decode(stored, envelope).ok(),
            (Judged::Accepted | Judged::Opened | Judged::Void, _) => None,
        }
    })
}
