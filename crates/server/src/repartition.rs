//! `daybook log repartition`: the shop goes on in topics with another number of partitions.

mod plan;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use eventsourcing::copy::patiently;
use eventsourcing::repartition::{Checkpoints, Config as Limits, Extent, Repartition, Settings, survey};
use eventsourcing::topic::Topic;
use eventsourcing_postgres::generations::{self, Moved, SwitchError};
use eventsourcing_postgres::log::moves::CopyLock;
use futures::future::try_join_all;

use crate::INTERRUPTED_EXIT_CODE;
use crate::copy::progress::Bar;
use crate::parts::{Parts, services};
use plan::{Plan, plan};

/// So few records behind, the old topics are sealed: the rest takes a moment, and for that moment nobody can write.
const BEHIND_MAX: u64 = 2_000;
/// A shop that writes faster than it is copied is sealed all the same, after so many rounds that came no nearer.
const VAIN_ROUNDS_MAX: u32 = 20;
/// Between two looks how far the read models are.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Between two words about them.
const WORD_INTERVAL: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Partitions of each new topic.
    pub partitions: u32,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Goes on until it is done or Ctrl-C comes; that harms nothing.
pub async fn run(parts: &Parts, wanted: Wanted) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = repartition(parts, wanted) => done.map(|()| ExitCode::SUCCESS),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("Ctrl-C")?;
            eprintln!("interrupted; {}", plan::where_it_stands(parts).await?);
            Ok(ExitCode::from(INTERRUPTED_EXIT_CODE))
        }
    }
}

async fn repartition(parts: &Parts, wanted: Wanted) -> anyhow::Result<()> {
    let prefix = &parts.config.topics.prefix;
    let lock = patiently(async || CopyLock::take(&parts.pool, prefix).await).await?;
    let _lock = lock.context("another repartitioning or copy of this log is running; end it first")?;
    let Some(plan) = plan(parts, wanted).await? else {
        return Ok(());
    };
    if wanted.dry_run {
        return foretell(parts, &plan).await;
    }
    let mut work = Work::open(parts, &plan).await?;
    work.copy().await?;
    work.seal().await?;
    let moved = work.finish().await?;
    work.wait_for_read_models(&moved).await?;
    work.switch(&moved).await?;
    work.report(&plan);
    Ok(())
}

/// What would be done.
async fn foretell(parts: &Parts, plan: &Plan) -> anyhow::Result<()> {
    let bar = Bar::new();
    println!("nothing is changed; this is what it would do:");
    let mut total = 0;
    for service in services() {
        let from = plan.from(parts, service);
        total += records(parts, &from).await?;
        bar.up_to(total);
        let spread = survey(&*parts.log, &from, plan.partitions, &bar).await?;
        let events: u64 = spread.iter().flatten().sum();
        let to = plan.topic(parts, service);
        println!(
            "{} ({} partitions) -> {to} ({} partitions): {events} events",
            from.topic, from.partitions, plan.partitions
        );
        for (old, counts) in spread.iter().enumerate() {
            let counts: Vec<String> = counts
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
                .map(|(new, count)| format!("{count} to {new}"))
                .collect();
            println!("  partition {old}: {}", counts.join(", "));
        }
    }
    bar.finish();
    Ok(())
}

async fn records(parts: &Parts, of: &Extent) -> anyhow::Result<u64> {
    let mut records = 0;
    for number in 0..of.partitions {
        let at = of.topic.partition(number);
        records += patiently(async || parts.log.bounds(&at).await).await?.end.0;
    }
    Ok(records)
}

/// The copies of all topics.
struct Work<'a> {
    parts: &'a Parts,
    generation: u32,
    copies: Vec<Repartition>,
    bar: Bar,
}

impl<'a> Work<'a> {
    /// Creates the new topics where they are missing, fences them, and reads what they hold.
    async fn open(parts: &'a Parts, plan: &Plan) -> anyhow::Result<Self> {
        let prefix = &parts.config.topics.prefix;
        patiently(async || generations::begin(&parts.pool, prefix, plan.generation, plan.partitions).await)
            .await?;
        let topics = parts.next_generation(plan.partitions)?;
        topics.create(prefix).await.context("creating the new topics")?;
        let findings = topics.check(prefix).await.context("checking the new topics")?;
        let broken: Vec<String> = findings
            .iter()
            .filter(|finding| finding.error)
            .map(ToString::to_string)
            .collect();
        if !broken.is_empty() {
            bail!("the new topics are not as they must be:\n{}", broken.join("\n"));
        }
        let bar = Bar::new();
        let opening = services().map(|service| {
            Repartition::open(Settings {
                log: parts.log.clone(),
                environment: parts.environment.clone(),
                from: plan.from(parts, service),
                to: Extent {
                    topic: plan.topic(parts, service),
                    partitions: plan.partitions,
                },
                config: Limits::default(),
            })
        });
        let copies = try_join_all(opening).await?;
        let mut total = 0;
        for service in services() {
            total += records(parts, &plan.from(parts, service)).await?;
        }
        bar.up_to(total);
        bar.say(&format!(
            "generation {} has its topics; copying {total} records while the shop goes on",
            plan.generation
        ));
        Ok(Self {
            parts,
            generation: plan.generation,
            copies,
            bar,
        })
    }

    /// Most of it, while the shop goes on.
    async fn copy(&mut self) -> anyhow::Result<()> {
        let (mut best, mut vain) = (u64::MAX, 0);
        while best > BEHIND_MAX && vain < VAIN_ROUNDS_MAX {
            let bar = &self.bar;
            let rounds = self.copies.iter_mut().map(|copy| copy.round(bar));
            let behind = try_join_all(rounds).await?.into_iter().sum();
            vain = if behind < best { 0 } else { vain + 1 };
            best = best.min(behind);
        }
        Ok(())
    }

    /// From here on the old topics take nothing in, so whatever could stand in the way is looked at before.
    async fn seal(&mut self) -> anyhow::Result<()> {
        let (read_models, states) = (projections::read_models(), projections::states());
        generations::preflight(&self.parts.pool, &read_models, &states).await?;
        try_join_all(self.copies.iter().map(Repartition::seal)).await?;
        let prefix = &self.parts.config.topics.prefix;
        patiently(async || generations::sealed(&self.parts.pool, prefix, self.generation).await).await?;
        self.bar.say("sealed: nothing more is taken in by the old topics");
        Ok(())
    }

    /// The rest, all of it verified.
    async fn finish(&mut self) -> anyhow::Result<Vec<Moved>> {
        let bar = &self.bar;
        try_join_all(self.copies.iter_mut().map(|copy| copy.finish(bar))).await?;
        let moved = self.copies.iter().map(|copy| Moved {
            from: copy.source().clone(),
            to: copy.target().clone(),
            seals: copy.seals(),
            ends: copy.ends(),
        });
        Ok(moved.collect())
    }

    /// They must have seen everything of the old topics. However long it takes, it is told whom it waits for.
    async fn wait_for_read_models(&self, moved: &[Moved]) -> anyhow::Result<()> {
        let read_models = projections::read_models();
        let mut told: Option<Instant> = None;
        loop {
            let pool = &self.parts.pool;
            let behind = patiently(async || generations::behind(pool, &read_models, moved).await).await?;
            if behind.is_empty() {
                return Ok(());
            }
            if told.is_none_or(|told| told.elapsed() >= WORD_INTERVAL) {
                told = Some(Instant::now());
                let names: Vec<String> = behind
                    .iter()
                    .map(|behind| format!("{} ({} records)", behind.projection, behind.records))
                    .collect();
                self.bar.say(&format!(
                    "waiting for the read models to come to the seal: {}. `daybook up` or `daybook projections` of the \
                     old generation must be running; their log says what they wait for",
                    names.join(", ")
                ));
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Where each process goes on: what it has not worked off it finds there, and what it has it may find again.
    async fn resumed(&self) -> anyhow::Result<Vec<(String, Topic, Checkpoints)>> {
        let mut resumed = Vec::new();
        for copy in &self.copies {
            let pool = &self.parts.pool;
            let worked = patiently(async || generations::worked(pool, copy.source()).await).await?;
            for worked in worked {
                let checkpoints = copy.resumed(&worked.seen).await?;
                resumed.push((worked.process, copy.target().clone(), checkpoints));
            }
        }
        Ok(resumed)
    }

    async fn switch(&self, moved: &[Moved]) -> anyhow::Result<()> {
        let resumed = self.resumed().await?;
        let (pool, prefix) = (&self.parts.pool, self.parts.config.topics.prefix.as_str());
        let (read_models, states) = (projections::read_models(), projections::states());
        let next = (prefix, self.generation);
        match generations::switch(pool, next, &read_models, &states, moved, &resumed).await {
            Ok(()) => Ok(()),
            // The answer to an earlier try may have been lost.
            Err(SwitchError::NotNext(_))
                if generations::look(pool, prefix).await?.live.number == self.generation =>
            {
                Ok(())
            }
            Err(error) => Err(anyhow::Error::from(error).context(
                "the topics are sealed and completely copied, but the switch is not done; run the same command again",
            )),
        }
    }

    fn report(&self, plan: &Plan) {
        self.bar.finish();
        let mut events = 0;
        for copy in &self.copies {
            for ((count, hash), number) in copy.hashes().into_iter().zip(0..) {
                let at = copy.target().partition(number);
                println!("{:<40} {count:>10} events  sha256 {hash}", at.to_string());
                events += count;
            }
        }
        println!("equal: {events} events, those of each key in their order");
        println!(
            "generation {0} is live: start every role with topics.generation={0} and topics.partitions={1} \
             (DAYBOOK_TOPICS_GENERATION={0} DAYBOOK_TOPICS_PARTITIONS={1}). The old topics stay, and take nothing in.",
            plan.generation, plan.partitions
        );
    }
}
