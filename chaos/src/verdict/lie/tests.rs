//! A lie about a small shop, told without a run.

use std::collections::BTreeMap;

use checker::{Checkpoints, History};
use domain::order::{Line, Lines, Order, OrderCommand, OrderEvent, Sale, Unfulfillable};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::codec::{self, EventHead, Fence, Meta};
use eventsourcing::ids::{AggregateId, CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use eventsourcing::projection::View;
use eventsourcing::record::{Record, Stored};
use eventsourcing::rule::Term;
use eventsourcing::topic::{Topic, TopicPartition};
use projections::order_history::OrderHistory;
use projections::orders::Orders;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Lie;
use crate::verdict::rows::Rows;
use crate::verdict::{Evidence, judge};

const SOURCE: &[u8] = b"/chaos";
const TERM: Term = Term {
    epoch: Epoch(1),
    owner: OwnerId(Uuid::from_u128(1)),
};

fn partition() -> TopicPartition {
    Topic::events("chaos", "orders").partition(0)
}

fn stored(offset: usize, record: Record) -> Stored {
    Stored {
        at: partition(),
        offset: Offset(u64::try_from(offset).expect("small")),
        timestamp: OffsetDateTime::UNIX_EPOCH,
        record,
    }
}

fn sale() -> Sale {
    let line = Line {
        sku: domain::sku::Sku::new("A").expect("valid"),
        quantity: domain::quantity::Quantity::new(2).expect("valid"),
        unit_price: domain::money::Price::new(100).expect("valid"),
    };
    Sale {
        customer: None,
        country: None,
        currency: "EUR".parse().expect("known"),
        lines: Lines::new(vec![line]).expect("valid").into(),
    }
}

fn recorded(order: &AggregateId, sequence: u64, event: &OrderEvent) -> Record {
    let meta = Meta {
        sequence: Sequence(sequence),
        term: TERM,
        command: CommandId(Uuid::from_u128(sequence.into())),
        digest: Digest(0),
        correlation: "request".into(),
        causation: None,
        actor: "client".into(),
    };
    let head = EventHead {
        aggregate: order,
        time: OffsetDateTime::UNIX_EPOCH,
        meta: &meta,
        traceparent: None,
    };
    codec::encode_event(&SOURCE.into(), &head, event)
}

/// An order that was placed and rejected, as the rules decide it.
fn log() -> Vec<Stored> {
    let order: AggregateId = domain::ids::OrderId::created_by(CommandId(Uuid::from_u128(1)))
        .to_string()
        .parse()
        .expect("an id");
    let fence = Fence {
        epoch: TERM.epoch,
        owner: TERM.owner,
        node: String::new(),
        url: String::new(),
    };
    let mut log = vec![stored(
        0,
        codec::encode_fence(&SOURCE.into(), &fence, OffsetDateTime::UNIX_EPOCH),
    )];
    let reject = OrderCommand::Reject {
        reason: Unfulfillable::InsufficientStock {
            sku: domain::sku::Sku::new("A").expect("valid"),
            available: 1,
        },
    };
    let mut state = <Order as Aggregate>::State::default();
    for (sequence, command) in (1..).zip([OrderCommand::Place(sale().into()), reject]) {
        let event = Order::decide(&state, &command).expect("the rules allow it");
        Order::evolve(&mut state, &event);
        log.push(stored(log.len(), recorded(&order, sequence, &event)));
    }
    log
}

/// What a run without a defect would have left.
fn sound() -> Evidence {
    let log = log();
    let end = Offset(u64::try_from(log.len()).expect("small"));
    let all: Checkpoints = BTreeMap::from([(partition(), end)]);
    let readers = [Orders::NAME, OrderHistory::NAME].map(|name| (name.to_owned(), all.clone()));
    Evidence {
        stock: History::default(),
        orders: History::default(),
        inventory_log: Vec::new(),
        rows: Rows {
            availability: BTreeMap::new(),
            orders: checker::fold_view::<Orders>(&log, &all),
            histories: checker::fold_view::<OrderHistory>(&log, &all),
            sales: Vec::new(),
        },
        orders_log: log,
        shown: Vec::new(),
        readers: readers.into(),
    }
}

#[test]
fn a_history_that_lacks_an_entry_is_found() {
    let mut evidence = sound();
    assert_eq!(judge(&mut evidence).breaches, Vec::<String>::new());
    Lie::ForgetEntry.tell(&mut evidence).expect("there is a history");
    let breaches = judge(&mut evidence).breaches;
    assert!(
        matches!(&breaches[..], [found] if found.starts_with("I6: order_history has ")),
        "{breaches:?}"
    );
}
