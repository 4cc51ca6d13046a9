//! A partition with a past: stock items that received goods, written as their owner would have.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use domain::quantity::Quantity;
use domain::stock_item::{StockEvent, StockReceived};
use eventsourcing::aggregate::Event;
use eventsourcing::clock::{Environment, System};
use eventsourcing::codec::{self, EventHead, Fence, Meta};
use eventsourcing::ids::{AggregateId, CommandId, Digest, Epoch, OwnerId, Sequence};
use eventsourcing::log::{Appended, Log};
use eventsourcing::record::Record;
use eventsourcing::rule::Term;
use eventsourcing::topic::TopicPartition;

/// How long the past is.
pub(crate) const EVENTS: u64 = 1_000_000;
/// Of so many aggregates.
pub(crate) const AGGREGATES: u64 = 200_000;
/// Records of one append.
pub(crate) const BATCH: usize = 1_000;

/// Event number n belongs to aggregate n modulo [`AGGREGATES`]: each is touched again and again.
pub(crate) struct History {
    log: Arc<dyn Log>,
    at: TopicPartition,
    term: Term,
    source: Bytes,
}

impl History {
    /// Opens the first term of an empty partition.
    pub(crate) async fn begin(log: Arc<dyn Log>, at: TopicPartition) -> anyhow::Result<Self> {
        let term = Term {
            epoch: Epoch(1),
            owner: OwnerId(System.fresh()),
        };
        let history = Self {
            log,
            at,
            term,
            source: Bytes::from_static(b"daybook/bench"),
        };
        history.append(vec![fence(&history.source, term)]).await?;
        Ok(history)
    }

    /// The aggregate with this number.
    pub(crate) fn aggregate(number: u64) -> AggregateId {
        format!("BENCH-{number:08}").parse().expect("an aggregate id")
    }

    /// Appends these events. Numbers begin at 0 and must follow each other from call to call.
    pub(crate) async fn write(&self, numbers: Range<u64>) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        for number in numbers {
            batch.push(self.event(number)?);
            if batch.len() == BATCH {
                self.append(std::mem::take(&mut batch)).await?;
            }
        }
        if !batch.is_empty() {
            self.append(batch).await?;
        }
        Ok(())
    }

    fn event(&self, number: u64) -> anyhow::Result<Record> {
        let event = StockEvent::Received(StockReceived {
            quantity: Quantity::new(12)?,
        });
        let aggregate = Self::aggregate(number % AGGREGATES);
        Ok(self.record(&aggregate, Sequence(number / AGGREGATES + 1), &event))
    }

    /// An event as its owner would have written it.
    pub(crate) fn record<E: Event>(&self, aggregate: &AggregateId, sequence: Sequence, event: &E) -> Record {
        let command = CommandId(System.fresh());
        let meta = Meta {
            sequence,
            term: self.term,
            command,
            digest: Digest(sequence.0),
            correlation: command.0.simple().to_string().into(),
            causation: None,
            actor: "bench".into(),
        };
        let head = EventHead {
            aggregate,
            time: System.now(),
            meta: &meta,
            traceparent: None,
        };
        codec::encode_event(&self.source, &head, event)
    }

    /// Appends these records.
    pub(crate) async fn append(&self, batch: Vec<Record>) -> anyhow::Result<()> {
        match self.log.append(&self.at, batch).await {
            Appended::At(_) => Ok(()),
            Appended::Unknown(reason) => anyhow::bail!("the history is in doubt: {reason}"),
        }
    }
}

/// A fence that claims `term`.
pub(crate) fn fence(source: &Bytes, term: Term) -> Record {
    let fence = Fence {
        epoch: term.epoch,
        owner: term.owner,
        node: "bench".to_owned(),
        url: String::new(),
    };
    codec::encode_fence(source, &fence, System.now())
}
