//! Another build of Daybook, as far as the log knows it: a node that fences a partition and writes what it likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::aggregate::{DecodeError, Event};
use eventsourcing::codec::{EventHead, Fence, Meta, encode_event, encode_fence, parse};
use eventsourcing::ids::{AggregateId, CommandId, Digest, OwnerId, Sequence};
use eventsourcing::log::{Appended, Log};
use eventsourcing::record::Record;
use eventsourcing::rule::{Rule, Term};
use eventsourcing::topic::{Topic, TopicPartition, partition_of};
use eventsourcing_kafka::KafkaLog;
use eventsourcing_postgres::log::PostgresLog;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::shop::Shop;

/// For whatever a busy machine may delay.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
const DECIDED: OffsetDateTime = datetime!(2025-11-28 12:00 UTC);
const SOURCE: Bytes = Bytes::from_static(b"//daybook/orders");

/// An event as that build wrote it.
pub(super) struct Written(pub(super) &'static str, pub(super) Value);

impl Event for Written {
    const TYPES: &'static [&'static str] = &[];

    fn event_type(&self) -> &'static str {
        self.0
    }

    fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &self.1).expect("memory takes it");
    }

    fn decode(event_type: &str, _: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::unknown(event_type, &[]))
    }
}

fn setting<'a>(shop: &'a Shop, name: &str) -> Option<&'a str> {
    let set = shop.environment.iter().find(|(set, _)| set == name);
    set.map(|(_, value)| value.as_str())
}

fn log(shop: &Shop) -> Arc<dyn Log> {
    if let Some(brokers) = setting(shop, "KAFKA_BROKERS") {
        return Arc::new(KafkaLog::open(&eventsourcing_kafka::Config::new(brokers)).expect("opens"));
    }
    let options = shop.database_url.parse().expect("a URL");
    Arc::new(PostgresLog::open(
        options,
        eventsourcing_postgres::log::Config::default(),
    ))
}

/// Appends the events of one order in a term of this build's own. The shop's own process must not run.
pub(super) async fn write(shop: &Shop, order: &str, events: Vec<Written>) {
    let log = log(shop);
    let aggregate: AggregateId = order.parse().expect("an id");
    let topic = Topic::events(
        setting(shop, "DAYBOOK_TOPICS_PREFIX").unwrap_or("daybook"),
        "orders",
    );
    let partitions = log.partitions(&topic).await.expect("is there");
    let at = topic.partition(partition_of(&aggregate, partitions));
    let term = Term {
        epoch: rule(&*log, &at).await.epoch().next(),
        owner: OwnerId(Uuid::new_v4()),
    };
    let fence = Fence {
        epoch: term.epoch,
        owner: term.owner,
        node: "another build".to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
    };
    let mut records = vec![encode_fence(&SOURCE, &fence, DECIDED)];
    let numbered = (1..).zip(&events);
    records.extend(numbered.map(|(number, event)| record(&aggregate, Sequence(number), term, event)));
    let appended = log.append(&at, records).await;
    assert!(matches!(appended, Appended::At(_)), "{appended:?}");
}

fn record(aggregate: &AggregateId, sequence: Sequence, term: Term, event: &Written) -> Record {
    let meta = Meta {
        sequence,
        term,
        command: CommandId(Uuid::new_v4()),
        digest: Digest(0),
        correlation: "another build".into(),
        causation: None,
        actor: "test".into(),
    };
    let head = EventHead {
        aggregate,
        time: DECIDED,
        meta: &meta,
        traceparent: None,
    };
    encode_event(&SOURCE, &head, event)
}

/// R behind the last record.
async fn rule(log: &dyn Log, at: &TopicPartition) -> Rule {
    let mut rule = Rule::default();
    let bounds = log.bounds(at).await.expect("readable");
    let mut next = bounds.start;
    let mut reader = log.reader(vec![(at.clone(), next)]).await.expect("readable");
    while next < bounds.end {
        let read = tokio::time::timeout(PATIENCE, reader.next(1_000))
            .await
            .expect("in time");
        for stored in read.expect("readable") {
            next = stored.offset.next();
            rule.judge(parse(&stored).expect("a record").claim());
        }
    }
    rule
}
