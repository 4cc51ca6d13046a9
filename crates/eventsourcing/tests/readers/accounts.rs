//! A topic of accounts: its records, its read models, and what they must come to.

use std::collections::BTreeMap;

use bytes::Bytes;
use eventsourcing::aggregate::Recorded;
use eventsourcing::clock::{Counted, Environment};
use eventsourcing::codec::{self, EventHead, Fence, Meta, Parsed};
use eventsourcing::contract::account::Moved;
use eventsourcing::ids::{CommandId, Digest, Epoch, OwnerId, Sequence};
use eventsourcing::log::Log;
use eventsourcing::projection::{Change, Counter, FoldError, Row, Table, Tally, View};
use eventsourcing::record::Record;
use eventsourcing::rule::{Rule, Term, Verdict};
use eventsourcing::simulated::{Rows, SimulatedLog};
use eventsourcing::topic::Topic;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

pub(crate) const PARTITIONS: u32 = 3;

pub(crate) fn topic() -> Topic {
    Topic::events("simulation", "accounts")
}

/// Balances. It counts on nothing but its row, so what is applied twice shows.
pub(crate) struct Balances;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Balance {
    id: String,
    balance: i64,
}

impl Row for Balance {
    const TABLE: Table = Table {
        name: "balances",
        key: &["id"],
        columns: &[("id", "TEXT NOT NULL"), ("balance", "BIGINT NOT NULL")],
        indexes: &[],
    };
}

impl View for Balances {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = Balance;

    fn fold(row: Option<&Balance>, event: &Recorded<Moved>) -> Result<Change<Balance>, FoldError> {
        Ok(Change::Put(Balance {
            id: event.aggregate.to_string(),
            balance: row.map_or(0, |row| row.balance) + event.event.by,
        }))
    }
}

/// The sum over all accounts: one row that every partition adds to.
pub(crate) struct Totals;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Total {
    name: String,
    sum: i64,
}

impl Row for Total {
    const TABLE: Table = Table {
        name: "totals",
        key: &["name"],
        columns: &[("name", "TEXT NOT NULL"), ("sum", "NUMERIC NOT NULL")],
        indexes: &[],
    };
}

impl Counter for Total {
    const ADDED: &'static [&'static str] = &["sum"];
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        self.sum += other.sum;
        Ok(())
    }
}

impl Tally for Totals {
    const NAME: &'static str = "totals";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Counter = Total;

    fn count(event: &Recorded<Moved>) -> Result<Vec<Total>, FoldError> {
        Ok(vec![Total {
            name: "all".to_owned(),
            sum: event.event.by,
        }])
    }
}

/// Writes the topic as owners would: terms that change, and records of those who lost theirs.
pub(crate) struct Writer {
    log: SimulatedLog,
    environment: Counted,
    terms: BTreeMap<u32, Term>,
    sequences: BTreeMap<String, u64>,
}

impl Writer {
    pub(crate) fn new(log: &SimulatedLog) -> Self {
        Self {
            log: log.clone(),
            environment: Counted::default(),
            terms: BTreeMap::new(),
            sequences: BTreeMap::new(),
        }
    }

    /// A new term.
    pub(crate) async fn fence(&mut self, partition: u32) {
        let epoch = self
            .terms
            .get(&partition)
            .map_or(Epoch(0), |term| term.epoch)
            .next();
        let owner = OwnerId(self.environment.fresh());
        let fence = Fence {
            epoch,
            owner,
            node: "test".to_owned(),
            url: String::new(),
        };
        let record = codec::encode_fence(&Bytes::new(), &fence, self.environment.now());
        self.append(partition, record).await;
        self.terms.insert(partition, Term { epoch, owner });
    }

    /// One more event of an account that lives in `partition`.
    pub(crate) async fn event(&mut self, partition: u32, account: u64, by: i64) {
        let account = format!("account-{partition}-{account}");
        let term = self.terms[&partition];
        let sequence = self.sequences.entry(account.clone()).or_default();
        *sequence += 1;
        let record = event(&account, *sequence, term, self.environment.fresh(), by);
        self.append(partition, record).await;
    }

    /// What somebody wrote who is the owner no more: nobody may count it.
    pub(crate) async fn void(&mut self, partition: u32, account: u64) {
        let owner = OwnerId(self.environment.fresh());
        let term = Term {
            epoch: self.terms[&partition].epoch,
            owner,
        };
        let account = format!("account-{partition}-{account}");
        let record = event(&account, 1, term, self.environment.fresh(), 1_000_000);
        self.append(partition, record).await;
    }

    async fn append(&self, partition: u32, record: Record) {
        self.log.append(&topic().partition(partition), vec![record]).await;
    }
}

fn event(account: &str, sequence: u64, term: Term, command: Uuid, by: i64) -> Record {
    let meta = Meta {
        sequence: Sequence(sequence),
        term,
        command: CommandId(command),
        digest: Digest(0),
        correlation: "".into(),
        causation: None,
        actor: "".into(),
    };
    let aggregate = account.parse().expect("a valid id");
    let head = EventHead {
        aggregate: &aggregate,
        time: Counted::default().now(),
        meta: &meta,
        traceparent: None,
    };
    codec::encode_event(&Bytes::new(), &head, &Moved { by, balance: 0 })
}

/// What both read models must show, by a plain look at the log.
pub(crate) fn folded(log: &SimulatedLog) -> (Rows, Rows) {
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    for number in 0..PARTITIONS {
        let mut rule = Rule::default();
        for stored in log.records(&topic().partition(number)) {
            let parsed = codec::parse(&stored).expect("well formed");
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                let recorded = codec::decode::<Moved>(&stored, envelope).expect("decodes");
                *balances.entry(recorded.aggregate.to_string()).or_default() += recorded.event.by;
            }
        }
    }
    let sum: i64 = balances.values().sum();
    let row = |(id, balance): (&String, &i64)| (id.clone(), json!({ "id": id, "balance": balance }));
    let total = (r#"["all"]"#.to_owned(), json!({ "name": "all", "sum": sum }));
    (balances.iter().map(row).collect(), Rows::from([total]))
}
