//! G12: what an owner needs to keep its aggregates, against a map of the same states. Each is measured in a
//! process of its own, because an allocator gives nothing back that would show.

use std::collections::HashMap;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use domain::stock_item::{StockItem, StockState};
use eventsourcing::aggregate::{Aggregate, Recorded};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::{AggregateId, Offset};
use eventsourcing::log::Log;
use eventsourcing::memory::{Memory, Remembered};
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::Topic;

use crate::cell::{Cell, Contender};
use crate::goals::Weight;
use crate::history::{AGGREGATES, EVENTS, History};
use crate::owners::Owners;
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::stage::{Durability, Grounds, kafka};

/// Who keeps the aggregates of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keeper {
    /// An owner.
    Owner,
    /// A map of states.
    States,
    /// A map of states and of the commands that are remembered for each.
    Remembering,
}

type Stock = Recorded<<StockItem as Aggregate>::Event>;

/// One keeper in a process of its own.
#[derive(Args, Clone)]
pub(crate) struct Hold {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long, value_enum)]
    keeper: Keeper,
}

/// Folds the topic's only partition and prints by how many bytes that has grown this process.
pub(crate) async fn hold(arguments: Hold) -> anyhow::Result<()> {
    let (log, topic) = (kafka(&arguments.brokers)?, Topic::named(&arguments.topic));
    // Consumer, codec and buffers are there before the measurement begins.
    fold(&*log, &topic, |_| ()).await?;
    let before = resident_bytes()?;
    let grown = match arguments.keeper {
        Keeper::Owner => {
            let owner = Owners::<StockItem>::serve(log, topic, 1, None).await?;
            let grown = resident_bytes()? - before;
            black_box(owner);
            grown
        }
        Keeper::States => {
            in_map::<StockState>(&*log, &topic, before, |state, event| {
                StockItem::evolve(state, &event.event);
            })
            .await?
        }
        Keeper::Remembering => {
            in_map::<(StockState, Memory)>(&*log, &topic, before, |(state, memory), event| {
                StockItem::evolve(state, &event.event);
                memory.remember(Remembered::of(event));
            })
            .await?
        }
    };
    println!("{grown}");
    Ok(())
}

/// By how many bytes more than `before` a map of what `keep` makes of the events has grown this process.
async fn in_map<S: Default>(
    log: &dyn Log,
    topic: &Topic,
    before: u64,
    keep: impl Fn(&mut S, &Stock),
) -> anyhow::Result<u64> {
    let mut map: HashMap<AggregateId, S> = HashMap::new();
    fold(log, topic, |event| {
        keep(map.entry(event.aggregate.clone()).or_default(), &event);
    })
    .await?;
    let grown = resident_bytes()? - before;
    ensure!(map.len() as u64 == AGGREGATES, "{} aggregates", map.len());
    Ok(grown)
}

/// Hands each accepted event to `keep`.
async fn fold(log: &dyn Log, topic: &Topic, mut keep: impl FnMut(Stock)) -> anyhow::Result<()> {
    let at = topic.partition(0);
    let end = log.bounds(&at).await?.end;
    let mut reader = log.reader(vec![(at, Offset(0))]).await?;
    let (mut rule, mut next) = (Rule::default(), Offset(0));
    while next < end {
        for stored in reader.next(10_000).await? {
            next = stored.offset.next();
            let parsed = codec::parse(&stored)?;
            let verdict = rule.judge(parsed.claim());
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
                keep(codec::decode(&stored, envelope)?);
            }
        }
    }
    Ok(())
}

/// What of this process is in memory, code and all.
fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .context("/proc/self/status has no VmRSS in kB")?
        .trim()
        .parse()?;
    Ok(kilobytes * 1024)
}

/// A keeper as a contender.
struct Keeping {
    brokers: String,
    topic: Topic,
    keeper: Keeper,
}

#[async_trait]
impl Contender for Keeping {
    fn name(&self) -> String {
        format!("{:?}", self.keeper)
    }

    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let keeper = self.keeper.to_possible_value().context("has a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["hold", "--brokers", &self.brokers, "--topic", self.topic.as_str()])
            .args(["--keeper", keeper.get_name()])
            // What is freed goes back to the system at once: only what is kept counts.
            .env("MIMALLOC_PURGE_DELAY", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{}: {}", self.name(), output.status);
        let bytes = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Cell {
            acknowledged: AGGREGATES,
            bytes,
            ..Cell::of_one(Duration::from_secs(1))
        })
    }
}

/// G12: memory of an owner.
pub(crate) async fn g12(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let (brokers, topic) = grounds.one_partition(durability, "memory").await?;
    eprintln!("{EVENTS} events of {AGGREGATES} aggregates");
    let history = History::begin(kafka(&brokers)?, topic.partition(0)).await?;
    history.write(0..EVENTS).await?;
    let keeping = |keeper| Keeping {
        brokers: brokers.clone(),
        topic: topic.clone(),
        keeper,
    };
    let mut rows = Vec::new();
    for (keeper, bar, b) in [
        (Keeper::States, Bar::AtMost(1.5), "a HashMap of the same states"),
        (
            Keeper::Remembering,
            Bar::None,
            "a HashMap of the same states and remembered commands",
        ),
    ] {
        let series = alternate(&mut keeping(Keeper::Owner), &mut keeping(keeper), weight.plan).await?;
        let a = format!("an owner of {AGGREGATES} stock items with {EVENTS} events");
        rows.push(Row::of(
            "G12",
            "bytes per aggregate",
            bar,
            (&a, b),
            durability.text(),
            (&series, Cell::bytes_each),
        ));
    }
    Ok(rows)
}
