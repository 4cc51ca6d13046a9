//! G13: how long a partition is without an owner once somebody is to own it, from the table of states and from
//! the whole log, against the least that any owner has to do: a fence, and reading the tail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use domain::quantity::Quantity;
use domain::stock_item::{StockCommand, StockItem};
use eventsourcing::clock::{Environment, System};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{Epoch, Offset, OwnerId, Sequence};
use eventsourcing::log::{Appended, Log};
use eventsourcing::owner::Service;
use eventsourcing::rule::Term;
use eventsourcing::state_table::StateTable;
use eventsourcing::states::States;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::states::PostgresStates;
use sqlx::PgPool;

use crate::cell::{Cell, Contender};
use crate::goals::Weight;
use crate::history::{AGGREGATES, EVENTS, History, fence};
use crate::in_process::context;
use crate::owners::Owners;
use crate::processor;
use crate::projector;
use crate::report::{Bar, Row};
use crate::series::{Plan, alternate};
use crate::stage::{Durability, Grounds, kafka};

/// Events above the table's checkpoint: a second's worth of a busy partition, by which the projector is behind.
const TAIL: u64 = 10_000;
/// Pairs with a replay of the whole log are long, and far from their bar.
const REPLAY_PAIRS_MAX: usize = 5;

/// A partition with a past, whose states a table has but for the tail.
struct Past {
    topic: Topic,
    log: Arc<dyn Log>,
    states: Arc<dyn StateTable<StockItem>>,
}

impl Past {
    async fn make(grounds: &Grounds, durability: Durability) -> anyhow::Result<Self> {
        let (brokers, topic) = grounds.one_partition(durability, "takeover").await?;
        let log = kafka(&brokers)?;
        let pool = PgPool::connect(&testkit::postgres().await.url).await?;
        eventsourcing_postgres::migrate::migrate(&pool).await?;
        eprintln!("{EVENTS} events of {AGGREGATES} aggregates");
        let history = History::begin(Arc::clone(&log), topic.partition(0)).await?;
        history.write(0..EVENTS).await?;
        let past = Self {
            topic,
            log,
            states: Arc::new(PostgresStates::new(pool.clone())),
        };
        past.tabulate(&pool)
            .await
            .context("filling the table of states")?;
        history.write(EVENTS..EVENTS + TAIL).await?;
        Ok(past)
    }

    fn at(&self) -> TopicPartition {
        self.topic.partition(0)
    }

    async fn checkpoint(&self) -> anyhow::Result<Option<Offset>> {
        let opened = self.states.open(&self.at()).await?;
        Ok(opened.map(|(_, checkpoint)| checkpoint.next))
    }

    /// Runs the projector until the table has all there is.
    async fn tabulate(&self, pool: &PgPool) -> anyhow::Result<()> {
        let end = self.log.bounds(&self.at()).await?.end;
        let is_done = || async { Ok(self.checkpoint().await? == Some(end)) };
        let states = Projection::view::<States<StockItem>>();
        projector::catch_up((pool, &self.log, &self.topic), 1, states, is_done).await?;
        Ok(())
    }
}

/// Becomes the owner, from the table of states or from the whole log.
struct Owner {
    past: Arc<Past>,
    from_table: bool,
    /// The next aggregate for the check, counted from the end: only the table and the beginning of the log
    /// know it.
    next: u64,
}

#[async_trait]
impl Contender for Owner {
    fn name(&self) -> String {
        let from = if self.from_table {
            "the table of states"
        } else {
            "the whole log"
        };
        format!("an owner starting from {from}")
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let mut times = Times::within(duration)?;
        while times.go_on() {
            let past = &self.past;
            let states = self.from_table.then_some(&past.states);
            let began = Instant::now();
            let owners = Owners::serve(Arc::clone(&past.log), past.topic.clone(), 1, states).await?;
            let took = began.elapsed();
            self.next -= 1;
            times.add(took, knows(owners.service(), self.next).await?);
            owners.end().await?;
        }
        times.cell()
    }
}

/// Gives an aggregate one event more: an owner that has missed one of its events numbers it wrongly.
async fn knows(service: &Service<StockItem>, number: u64) -> anyhow::Result<Option<String>> {
    let quantity = Quantity::new(1)?;
    let context = context(System.fresh());
    let accepted = service
        .execute(
            History::aggregate(number),
            StockCommand::Receive { quantity },
            context,
        )
        .await?;
    let expected = Sequence(EVENTS / AGGREGATES + 1);
    Ok((accepted.sequence != expected).then(|| format!("sequence {} is not {expected}", accepted.sequence)))
}

/// What every owner has to do at least.
struct Bound {
    past: Arc<Past>,
    from: Offset,
}

#[async_trait]
impl Contender for Bound {
    fn name(&self) -> String {
        "a fence, and the tail read up to it".to_owned()
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let mut times = Times::within(duration)?;
        while times.go_on() {
            times.add(self.once().await?, None);
        }
        times.cell()
    }
}

impl Bound {
    async fn once(&self) -> anyhow::Result<Duration> {
        let (at, log) = (self.past.at(), &self.past.log);
        let began = Instant::now();
        // A fence of the past, void for everybody.
        let term = Term {
            epoch: Epoch(0),
            owner: OwnerId(System.fresh()),
        };
        let record = fence(&Bytes::from_static(b"daybook/bench"), term);
        let last = match log.append(&at, vec![record]).await {
            Appended::At(offsets) => offsets.last().copied().context("one record, one offset")?,
            Appended::Unknown(reason) => anyhow::bail!("the fence is in doubt: {reason}"),
        };
        let mut reader = log.reader(vec![(at, self.from)]).await?;
        let mut next = self.from;
        while next <= last {
            if let Some(stored) = reader.next(usize::MAX).await?.last() {
                next = stored.offset.next();
            }
        }
        Ok(began.elapsed())
    }
}

/// One after the other as often as there is time for it, once at least. The check of what was done comes after each,
/// and does not count.
struct Times {
    until: Instant,
    worked: f64,
    took: Duration,
    count: u64,
    void: Option<String>,
}

impl Times {
    fn within(duration: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            until: Instant::now() + duration,
            worked: processor::busy_seconds()?,
            took: Duration::ZERO,
            count: 0,
            void: None,
        })
    }

    fn go_on(&self) -> bool {
        self.count == 0 || Instant::now() < self.until
    }

    fn add(&mut self, took: Duration, wrong: Option<String>) {
        self.took += took;
        self.count += 1;
        self.void = self.void.take().or(wrong);
    }

    fn cell(self) -> anyhow::Result<Cell> {
        Ok(Cell {
            acknowledged: self.count,
            worked: self.count,
            cpu_seconds: processor::busy_seconds()? - self.worked,
            void: self.void,
            ..Cell::of_one(self.took)
        })
    }
}

/// G13: take-over from the table against its limit, and against a replay.
pub(crate) async fn g13(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let past = Arc::new(Past::make(grounds, durability).await?);
    let owner = |from_table, next| Owner {
        past: Arc::clone(&past),
        from_table,
        next,
    };
    // Each takes its aggregates for the check from a part of its own, none of them in the tail.
    let mut table = owner(true, AGGREGATES);
    let mut replay = owner(false, AGGREGATES / 2);
    let from = past.checkpoint().await?.context("the table has a checkpoint")?;
    let mut bound = Bound {
        past: Arc::clone(&past),
        from,
    };
    let least = alternate(&mut table, &mut bound, weight.plan).await?;
    let plan = Plan {
        pairs: weight.plan.pairs.min(REPLAY_PAIRS_MAX),
        ..weight.plan
    };
    let whole = alternate(&mut table, &mut replay, plan).await?;
    let a = format!("take-over, {EVENTS} events of {AGGREGATES} aggregates in the table, {TAIL} after it");
    let row = |bar, b: &str, series| {
        Row::of(
            "G13",
            "ms",
            bar,
            (&a, b),
            durability.text(),
            (series, Cell::milliseconds),
        )
    };
    Ok(vec![
        row(Bar::AtMost(2.0), "a fence, and the tail read up to it", &least),
        row(Bar::AtMost(0.1), "the same from the whole log", &whole),
    ])
}
