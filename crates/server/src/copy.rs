//! `daybook log copy`: the log of a shop that outgrows PostgreSQL, into Kafka, offset for offset; and the switch.

pub(crate) mod progress;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use eventsourcing::copy::{Config as Limits, CopyError, PartitionCopy, patiently};
use eventsourcing_postgres::log::moves::{self, CopyLock, Home};
use futures::{StreamExt, TryStreamExt};

use crate::INTERRUPTED_EXIT_CODE;
use crate::config::LogKind;
use crate::parts::{Parts, Topics, generation};
use progress::Bar;

/// Partitions copied at once.
const AT_ONCE: usize = 4;
/// Between two passes of `--follow`.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);
/// So few records behind, the log is sealed: the rest takes a moment, and for that moment nobody can write.
const BEHIND_MAX: u64 = 2_000;
/// A shop that writes faster than it is copied is sealed after so many passes all the same.
const PASSES_MAX: u32 = 20;

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Copy what is there now.
    Once,
    /// Go on until Ctrl-C.
    Follow,
    /// Copy, seal the source, copy the rest.
    Switch,
}

/// What is copied into what.
pub struct Copy<'a> {
    parts: &'a Parts,
    target: Topics,
    partitions: Vec<PartitionCopy>,
    bar: Bar,
}

/// Refuses every way but the one there is.
pub fn way(from: LogKind, to: LogKind) -> anyhow::Result<()> {
    match (from, to) {
        (LogKind::Postgres, LogKind::Kafka) => Ok(()),
        (LogKind::Postgres | LogKind::Kafka, _) => {
            bail!("the only way there is goes --from postgres --to kafka")
        }
    }
}

/// Copies until the goal is reached or Ctrl-C comes; that harms nothing.
pub async fn run(parts: &Parts, goal: Goal) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = copy(parts, goal) => done.map(|()| ExitCode::SUCCESS),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("Ctrl-C")?;
            eprintln!("interrupted; {}", where_it_stands(parts).await?);
            Ok(ExitCode::from(INTERRUPTED_EXIT_CODE))
        }
    }
}

async fn where_it_stands(parts: &Parts) -> anyhow::Result<&'static str> {
    Ok(match moves::home(&parts.pool, &parts.all_topics()).await? {
        Home::Here { .. } => {
            "what is copied stays, the source was not changed. Run the same command to go on"
        }
        Home::Sealed { .. } => {
            "the source is SEALED: the shop is closed until `--switch` has ended well. Run it again"
        }
        Home::Moved { .. } => "the switch is done: start with --log kafka",
    })
}

async fn copy(parts: &Parts, goal: Goal) -> anyhow::Result<()> {
    let prefix = &parts.config.topics.prefix;
    let _lock = patiently(async || CopyLock::take(&parts.pool, prefix).await)
        .await?
        .context("another copy of this log is running; end it first")?;
    let topics = parts.all_topics();
    let home = patiently(async || moves::home(&parts.pool, &topics).await).await?;
    if let Home::Moved { to, since } = home {
        println!("nothing to copy: the log moved to {to} on {since}; start with --log kafka");
        return Ok(());
    }
    generation::check(parts).await?;
    let mut copy = Copy::open(parts).await?;
    match goal {
        Goal::Once => {
            copy.pass().await?;
        }
        Goal::Follow => loop {
            copy.pass().await?;
            tokio::time::sleep(FOLLOW_PAUSE).await;
        },
        Goal::Switch => copy.switch().await?,
    }
    copy.report();
    if goal == Goal::Switch {
        println!(
            "the log is in Kafka now: start every role with --log kafka. The old one stays, and takes nothing in."
        );
    }
    Ok(())
}

impl<'a> Copy<'a> {
    /// Creates the topics that are missing, and compares what is there already.
    async fn open(parts: &'a Parts) -> anyhow::Result<Self> {
        let (prefix, wanted) = (&parts.config.topics.prefix, parts.config.topics.partitions);
        for topic in parts.all_topics() {
            let found = patiently(async || parts.log.partitions(&topic).await).await?;
            if found != wanted {
                bail!(
                    "topic {topic} has {found} partitions, but topics.partitions is {wanted}: set it to {found}"
                );
            }
        }
        let target = parts.other(LogKind::Kafka)?;
        target
            .create(prefix)
            .await
            .context("creating the topics in Kafka")?;
        let findings = target
            .check(prefix)
            .await
            .context("checking the topics in Kafka")?;
        let broken: Vec<String> = findings
            .iter()
            .filter(|f| f.error)
            .map(ToString::to_string)
            .collect();
        if !broken.is_empty() {
            bail!("Kafka's topics are not as they must be:\n{}", broken.join("\n"));
        }
        let places: Vec<_> = parts
            .all_topics()
            .iter()
            .flat_map(|topic| (0..wanted).map(|number| topic.partition(number)))
            .collect();
        let bar = Bar::new();
        bar.up_to(total(parts, &places).await?);
        let log = target.log();
        let resuming = places
            .iter()
            .map(|at| PartitionCopy::resume(&*parts.log, &*log, at, &bar));
        let partitions = futures::stream::iter(resuming)
            .buffered(AT_ONCE)
            .try_collect()
            .await;
        Ok(Self {
            parts,
            target,
            partitions: partitions?,
            bar,
        })
    }

    /// Copies each partition up to its present end; returns how many records that were.
    async fn pass(&mut self) -> anyhow::Result<u64> {
        let places: Vec<_> = self.partitions.iter().map(|copy| copy.at().clone()).collect();
        self.bar.up_to(total(self.parts, &places).await?);
        let (source, target, bar) = (&*self.parts.log, self.target.log(), &self.bar);
        let catching_up = self.partitions.iter_mut().map(|copy| {
            let target = target.clone();
            async move { copy.catch_up(source, &*target, Limits::default(), bar).await }
        });
        let copied: Result<Vec<u64>, CopyError> = futures::stream::iter(catching_up)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await;
        Ok(copied?.iter().sum())
    }

    /// First most of it, while the shop goes on; then the seal, after which the source has a last offset; then
    /// the rest. Only then may anybody start on the target.
    async fn switch(&mut self) -> anyhow::Result<()> {
        for _ in 0..PASSES_MAX {
            if self.pass().await? <= BEHIND_MAX {
                break;
            }
        }
        let topics = self.parts.all_topics();
        moves::seal(&self.parts.pool, &topics, "Kafka")
            .await
            .context("sealing the log")?;
        self.bar.say("sealed: nothing more is taken in by the old log");
        self.pass().await?;
        if self.pass().await? > 0 {
            bail!(
                "the sealed log still grows: something has taken the seal (a check on daybook_log.records) away"
            );
        }
        let target = self.target.log();
        for copy in &mut self.partitions {
            copy.close(&*target, &*self.parts.environment).await?;
        }
        patiently(async || moves::complete(&self.parts.pool, &topics).await).await?;
        Ok(())
    }

    fn report(&self) {
        self.bar.finish();
        for copy in &self.partitions {
            println!(
                "{:<40} {:>10} records  sha256 {}",
                copy.at().to_string(),
                copy.end(),
                copy.hash()
            );
        }
        let records: u64 = self.partitions.iter().map(|copy| copy.end().0).sum();
        println!("equal: {records} records in {} partitions", self.partitions.len());
    }
}

async fn total(parts: &Parts, places: &[eventsourcing::topic::TopicPartition]) -> anyhow::Result<u64> {
    let mut total = 0;
    for at in places {
        total += patiently(async || parts.log.bounds(at).await).await?.end.0;
    }
    Ok(total)
}
