//! Histories and logs made by hand.

use std::sync::Arc;

use bytes::Bytes;
use checker::{Commands, Findings, Outcome, Question, Recorder};
use eventsourcing::aggregate::Recorded;
use eventsourcing::codec::{self, EventHead, Fence, Meta};
use eventsourcing::command::{Accepted, Expected};
use eventsourcing::contract::account::{Account, Command, Moved};
use eventsourcing::ids::{AggregateId, CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use eventsourcing::position::Position;
use eventsourcing::projection::{Change, Counter, FoldError, Row, Table, Tally, View};
use eventsourcing::record::{Record, Stored};
use eventsourcing::rule::Term;
use eventsourcing::topic::{Topic, TopicPartition};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

const SOURCE: Bytes = Bytes::from_static(b"/made");

/// A log of one partition and what its clients saw.
pub(crate) struct Made {
    log: Vec<Stored>,
    pub(crate) recorder: Recorder<Account>,
    term: Term,
}

pub(crate) fn account(name: &str) -> AggregateId {
    name.parse().expect("a valid id")
}

pub(crate) fn command(key: &str) -> CommandId {
    CommandId::of_key("made", key)
}

/// Accepted at this offset under this sequence, for the first time.
pub(crate) fn accepted(offset: u64, sequence: u64) -> Outcome {
    outcome(offset, sequence, false)
}

/// The same, told again.
pub(crate) fn replayed(offset: u64, sequence: u64) -> Outcome {
    outcome(offset, sequence, true)
}

fn outcome(offset: u64, sequence: u64, replayed: bool) -> Outcome {
    Outcome::Accepted(Accepted {
        sequence: Sequence(sequence),
        position: Position::new(&partition(), Offset(offset)),
        replayed,
    })
}

fn partition() -> TopicPartition {
    Topic::events("made", "accounts").partition(0)
}

fn term(epoch: u64, owner: u128) -> Term {
    Term {
        epoch: Epoch(epoch),
        owner: OwnerId(Uuid::from_u128(owner)),
    }
}

pub(crate) fn question(of: &str, key: &str, content: Command, expected: Expected) -> Question<Account> {
    Question {
        command: command(key),
        digest: Some(Digest::of(&[key.as_bytes()])),
        aggregate: account(of),
        at: partition(),
        content: Some(Arc::new(content)),
        expected,
        node: "node".into(),
    }
}

impl Made {
    pub(crate) fn new() -> Self {
        Self {
            log: Vec::new(),
            recorder: Recorder::new(),
            term: term(0, 0),
        }
    }

    pub(crate) fn at() -> TopicPartition {
        partition()
    }

    pub(crate) fn log(&self) -> &[Stored] {
        &self.log
    }

    /// A fence; whatever is written next is of its term, unless it was there before.
    pub(crate) fn fence(&mut self, epoch: u64, owner: u128) {
        let claimed = term(epoch, owner);
        if epoch > self.term.epoch.0 {
            self.term = claimed;
        }
        let fence = Fence {
            epoch: claimed.epoch,
            owner: claimed.owner,
            node: String::new(),
            url: String::new(),
        };
        self.write(codec::encode_fence(&SOURCE, &fence, OffsetDateTime::UNIX_EPOCH));
    }

    /// An event of the term that is open.
    pub(crate) fn event(&mut self, of: &str, key: &str, sequence: u64, by: i64, balance: i64) {
        let term = self.term;
        self.event_in(term, of, key, sequence, &Moved { by, balance });
    }

    /// An event of the first term, when that is over.
    pub(crate) fn void(&mut self, of: &str, key: &str, sequence: u64, by: i64) {
        self.event_in(term(1, 1), of, key, sequence, &Moved { by, balance: by });
    }

    pub(crate) fn junk(&mut self) {
        self.write(Record {
            key: Bytes::new(),
            value: Bytes::new(),
            headers: Vec::new(),
        });
    }

    fn event_in(&mut self, term: Term, of: &str, key: &str, sequence: u64, moved: &Moved) {
        let meta = Meta {
            sequence: Sequence(sequence),
            term,
            command: command(key),
            digest: Digest::of(&[key.as_bytes()]),
            correlation: "".into(),
            causation: None,
            actor: "".into(),
        };
        let head = EventHead {
            aggregate: &account(of),
            time: OffsetDateTime::UNIX_EPOCH,
            meta: &meta,
            traceparent: None,
        };
        self.write(codec::encode_event(&SOURCE, &head, moved));
    }

    fn write(&mut self, record: Record) {
        self.log.push(Stored {
            at: partition(),
            offset: Offset(self.log.len() as u64),
            timestamp: OffsetDateTime::UNIX_EPOCH,
            record,
        });
    }

    /// Asked and answered while the log ended here and there.
    pub(crate) fn asked(&mut self, of: &str, key: &str, content: Command, window: (u64, u64), told: Outcome) {
        let question = question(of, key, content, Expected::Any);
        let pending = self.recorder.ask(question, Some(Offset(window.0)));
        pending.answered(told, Some(Offset(window.1)));
    }

    /// Asked at the end of the log, as another request under a known key.
    pub(crate) fn asked_under(
        &mut self,
        of: &str,
        key: &str,
        content: Command,
        digest: Digest,
        told: Outcome,
    ) {
        let question = Question {
            digest: Some(digest),
            ..question(of, key, content, Expected::Any)
        };
        let end = Some(Offset(self.log.len() as u64));
        self.recorder.ask(question, end).answered(told, end);
    }

    /// Asked with `If-Match` at the end of the log.
    pub(crate) fn asked_expecting(
        &mut self,
        of: &str,
        key: &str,
        content: Command,
        expected: Expected,
        told: Outcome,
    ) {
        let question = question(of, key, content, expected);
        self.recorder
            .ask(question, Some(Offset(2)))
            .answered(told, Some(Offset(self.log.len() as u64)));
    }

    /// Asked from outside, where nobody knows the end of the log.
    pub(crate) fn asked_without_window(&mut self, of: &str, key: &str, content: Command, told: Outcome) {
        let question = question(of, key, content, Expected::Any);
        self.recorder.ask(question, None).answered(told, None);
    }

    pub(crate) fn check(&self, commands: Commands) -> Findings {
        checker::check(&self.recorder.take(), &self.log, commands)
    }
}

/// The balance of each account.
pub(crate) struct Totals;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TotalsRow {
    account: AggregateId,
    balance: i64,
}

pub(crate) fn row(account: &str, balance: i64) -> TotalsRow {
    TotalsRow {
        account: account.parse().expect("a valid id"),
        balance,
    }
}

impl Row for TotalsRow {
    const TABLE: Table = Table {
        name: "totals",
        key: &["account"],
        columns: &[("account", "TEXT NOT NULL"), ("balance", "BIGINT NOT NULL")],
        indexes: &[],
    };
}

impl View for Totals {
    const NAME: &'static str = "totals";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = TotalsRow;

    fn fold(row: Option<&TotalsRow>, event: &Recorded<Moved>) -> Result<Change<TotalsRow>, FoldError> {
        let balance = row.map_or(0, |row| row.balance) + event.event.by;
        Ok(Change::Put(TotalsRow {
            account: event.aggregate.clone(),
            balance,
        }))
    }
}

/// How many moves there were in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) all: bool,
    pub(crate) moves: i64,
}

impl Row for Total {
    const TABLE: Table = Table {
        name: "total",
        key: &["all"],
        columns: &[("all", "BOOLEAN NOT NULL"), ("moves", "NUMERIC NOT NULL")],
        indexes: &[],
    };
}

impl Counter for Total {
    const ADDED: &'static [&'static str] = &["moves"];
    type Key = bool;

    fn key(&self) -> bool {
        self.all
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        self.moves += other.moves;
        Ok(())
    }
}

impl Tally for Total {
    const NAME: &'static str = "total";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Counter = Self;

    fn count(_event: &Recorded<Moved>) -> Result<Vec<Self>, FoldError> {
        Ok(vec![Self { all: true, moves: 1 }])
    }
}
