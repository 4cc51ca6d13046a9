//! The goals: what is put against what, and which ratio is promised.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Mutex;

use crate::cell::Cell;
use crate::http::{Http, Pressure};
use crate::in_process::InProcess;
use crate::raw::{Pace, Raw};
use crate::read_side::Peer;
use crate::report::{Bar, Row};
use crate::series::{Plan, alternate};
use crate::shape::Shape;
use crate::shop::{Heat, Orders, Receipts};
use crate::stage::{Durability, Grounds, Stage, kafka};
use crate::system;
use crate::verify::{Counts, Verifier};

/// How hard the load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    pub(crate) plan: Plan,
    /// Of the closed loop over HTTP.
    pub(crate) connections: usize,
    /// Callers of the engine in process.
    pub(crate) clients: usize,
    /// Commands per second of the open loop.
    pub(crate) rate: u32,
    /// Of the past that is projected or rebuilt.
    pub(crate) events: u64,
    /// The only peer of a rebuild; all of them by default.
    pub(crate) peer: Option<Peer>,
    /// Of emmett's past.
    pub(crate) peer_events: u64,
}

/// G3: the whole command path against pass-through.
pub(crate) async fn g3(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let stage = grounds.daybook(durability).await?;
    let (verifier, shape) = stage.orders().await?;
    let mut a = orders(&stage, verifier, closed(weight));
    let (target, verifier) = grounds.limit(durability, shape).await?;
    let server = system::pass_through(&target).await?;
    let mut b = Http {
        name: "pass-through".to_owned(),
        server: server.address,
        verifier: Arc::new(Mutex::new(verifier)),
        numbers: Arc::default(),
        requests: Arc::new(Orders { run: stage.run }),
        ..a.clone()
    };
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let names = (
        "Daybook, orders over HTTP",
        "pass-through: HTTP → one record → ack",
    );
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G3", unit, bar, names, durability.text(), (&series, figure))
    };
    Ok(vec![
        row("commands/s", Bar::AtLeast(1.0), Cell::rate),
        row("CPU s per 1,000", Bar::AtMost(1.1), Cell::cpu_per_thousand),
    ])
}

/// The limit against itself: shows what the method sees where there is nothing to see.
pub(crate) async fn null(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let engine = engine(grounds, weight, durability).await?;
    let shape = Shape::of(&engine.verifier.sample()?);
    drop(engine);
    let mut servers = Vec::new();
    for name in ["pass-through", "pass-through again"] {
        let (target, verifier) = grounds.limit(durability, shape.clone()).await?;
        let server = system::pass_through(&target).await?;
        let http = Http {
            name: name.to_owned(),
            server: server.address,
            pressure: closed(weight),
            requests: Arc::new(Orders { run: 0 }),
            numbers: Arc::default(),
            verifier: Arc::new(Mutex::new(verifier)),
        };
        servers.push((http, server));
    }
    let [(a, _), (b, _)] = &mut servers[..] else {
        unreachable!("two were started");
    };
    let series = alternate(a, b, weight.plan).await?;
    let row = |unit, figure: fn(&Cell) -> f64| {
        let names = ("pass-through", "the same");
        Row::of(
            "null",
            unit,
            Bar::None,
            names,
            durability.text(),
            (&series, figure),
        )
    };
    Ok(vec![
        row("commands/s", Cell::rate),
        row("CPU s per 1,000", Cell::cpu_per_thousand),
    ])
}

/// The engine in process on a fresh topic, one order placed for a sample.
async fn engine(grounds: &Grounds, weight: Weight, durability: Durability) -> anyhow::Result<InProcess> {
    let (brokers, topic) = grounds.topic(durability, "engine").await?;
    let config = eventsourcing_kafka::Config {
        linger_ms: grounds.linger_ms(durability),
        ..eventsourcing_kafka::Config::new(brokers.clone())
    };
    let log = Arc::new(eventsourcing_kafka::KafkaLog::open(&config)?);
    let verifier = Verifier::new(kafka(&brokers)?, topic.clone(), Counts::Accepted).await?;
    let mut engine = InProcess::start(log, topic, verifier, weight.clients).await?;
    engine.place_one().await?;
    engine.verifier.catch_up().await?;
    Ok(engine)
}

/// G4: bytes of events per second against raw batched produce.
pub(crate) async fn g4(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let mut a = engine(grounds, weight, durability).await?;
    let shape = Shape::of(&a.verifier.sample()?);
    let record = shape.size();
    let (mut target, verifier) = grounds.limit(durability, shape).await?;
    // Company is what makes batches; nobody waits for a single record here.
    target.linger_ms = RAW_BATCH_LINGER_MS;
    let mut b = Raw::new(Pace::Full, &target, verifier)?;
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let a = format!(
        "engine in process, {} clients, records of {record} bytes",
        weight.clients
    );
    Ok(vec![Row::of(
        "G4",
        "MB/s of events",
        Bar::AtLeast(0.25),
        (&a, "raw batched produce of such records"),
        durability.text(),
        (&series, Cell::megabytes),
    )])
}

/// The best of 0, 1, 5 and 20 for raw batches.
const RAW_BATCH_LINGER_MS: f64 = 5.0;

/// G5: latency at a moderate rate against the acknowledgement of single raw records.
pub(crate) async fn g5(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let stage = grounds.daybook(durability).await?;
    let (verifier, shape) = stage.orders().await?;
    let mut a = orders(&stage, verifier, Pressure::Open { rate: weight.rate });
    let (mut target, verifier) = grounds.limit(durability, shape).await?;
    // Alone, a record only loses by waiting.
    target.linger_ms = 0.0;
    let mut b = Raw::new(Pace::PerSecond(weight.rate), &target, verifier)?;
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let a = format!("Daybook, {} orders/s over HTTP", weight.rate);
    let b = format!("raw produce, {} records/s, each alone", weight.rate);
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G5", unit, bar, (&a, &b), durability.text(), (&series, figure))
    };
    Ok(vec![
        row("ms, p99", Bar::AtMost(1.5), Cell::p99_ms),
        row("ms, p50", Bar::None, Cell::p50_ms),
    ])
}

/// G7: one hot aggregate against many.
pub(crate) async fn g7(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let stage = grounds.daybook(durability).await?;
    let verifier = Arc::new(Mutex::new(stage.verifier("inventory").await?));
    let receipts = |name: &str, heat| Http {
        name: name.to_owned(),
        server: stage.server.address,
        pressure: closed(weight),
        requests: Arc::new(Receipts { run: stage.run, heat }),
        numbers: Arc::default(),
        verifier: Arc::clone(&verifier),
    };
    let mut a = receipts("Daybook, one stock item", Heat::Hot);
    let mut b = receipts("Daybook, many stock items", Heat::Spread);
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    Ok(vec![Row::of(
        "G7",
        "commands/s",
        Bar::AtLeast(0.5),
        (
            "Daybook, receipts of one stock item",
            "Daybook, receipts of 300 stock items",
        ),
        durability.text(),
        (&series, Cell::rate),
    )])
}

/// The command path on the PostgreSQL log, beside Kafka with the same durability.
pub(crate) async fn postgres(grounds: &Grounds, weight: Weight) -> anyhow::Result<Vec<Row>> {
    let (durability, other) = (Durability::Postgres, Durability::Flushed);
    let stage = grounds.daybook(durability).await?;
    let mut a = orders(&stage, stage.orders().await?.0, closed(weight));
    let kafka = grounds.daybook(other).await?;
    let mut b = orders(&kafka, kafka.orders().await?.0, closed(weight));
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let durability = format!("A: {}; B: {}", durability.text(), other.text());
    let names = (
        "Daybook on PostgreSQL, orders over HTTP",
        "Daybook on Kafka, the same",
    );
    let row = |unit, figure: fn(&Cell) -> f64| {
        Row::of("–", unit, Bar::None, names, durability.clone(), (&series, figure))
    };
    Ok(vec![
        row("commands/s", Cell::rate),
        row("CPU s per 1,000", Cell::cpu_per_thousand),
    ])
}

const fn closed(weight: Weight) -> Pressure {
    Pressure::Closed {
        connections: weight.connections,
    }
}

pub(crate) fn orders(stage: &Stage, verifier: crate::verify::Shared, pressure: Pressure) -> Http {
    Http {
        name: format!("Daybook, orders ({})", stage.durability.text()),
        server: stage.server.address,
        pressure,
        requests: Arc::new(Orders { run: stage.run }),
        numbers: Arc::new(AtomicU64::new(0)),
        verifier,
    }
}
