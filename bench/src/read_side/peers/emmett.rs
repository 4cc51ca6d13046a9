//! The rebuild of emmett, a library for event sourcing on Node.js, by `bench/peers/emmett`: the same orders in its store on
//! PostgreSQL, as many as asked for, and its own rebuild of a document an order.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::super::past::{EVENTS_OF_AN_ORDER, Past};
use super::child::{self, Ended};
use crate::cell::{Cell, Contender};
use crate::processor;

const PACKAGE: &str = "@event-driven-io/emmett-postgresql";
/// Appending its past takes no longer; what is there then counts.
const APPEND_MAX: Duration = Duration::from_mins(3);

fn directory() -> PathBuf {
    crate::root().join("bench/peers/emmett")
}

/// What it lacks to run here, and what to do about it.
pub(super) fn missing() -> Option<String> {
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|output| output.status.success()) {
        return Some("there is no `node` on the path; install Node.js 20 or newer".to_owned());
    }
    let installed = directory().join("node_modules").join(PACKAGE);
    (!installed.exists())
        .then(|| "its modules are not installed; run `npm ci` in bench/peers/emmett".to_owned())
}

/// It as a contender, and its past.
pub(super) struct Emmett {
    database: String,
    pub(super) version: String,
    pub(super) events: u64,
    /// Of all orders in its past, by Daybook's live read model.
    total: i64,
}

#[derive(Deserialize)]
struct Appended {
    events: u64,
    seconds: f64,
}

#[derive(Deserialize)]
struct Rebuilt {
    seconds: f64,
    events: u64,
    rows: u64,
    confirmed: u64,
    total: i64,
}

impl Emmett {
    /// Appends the first orders of this past, about so many events of them.
    pub(super) async fn begin(past: &Past, events: u64) -> anyhow::Result<Self> {
        let database = testkit::postgres().await.url;
        let (events, partitions) = (events.min(past.events).to_string(), past.partitions.to_string());
        let seconds = APPEND_MAX.as_secs().to_string();
        let mut command = script(&database, "append");
        command.args([
            "--events",
            &events,
            "--seconds",
            &seconds,
            "--partitions",
            &partitions,
        ]);
        let ended = tokio::task::spawn_blocking(move || child::run(&mut command)).await??;
        let Appended { events, seconds } = ended.answer()?;
        eprintln!("emmett has {events} events after {seconds:.1} s");
        ensure!(events > 0, "emmett has no events");
        Ok(Self {
            database,
            version: installed()?,
            events,
            total: past.total(events).await?,
        })
    }

    fn fault(&self, rebuilt: &Rebuilt) -> Option<String> {
        let orders = self.events / EVENTS_OF_AN_ORDER;
        let found = (rebuilt.events, rebuilt.rows, rebuilt.confirmed, rebuilt.total);
        let expected = (self.events, orders, orders, self.total);
        (found != expected)
            .then(|| format!("events, rows, confirmed and total are {found:?} instead of {expected:?}"))
    }
}

/// Its name, and the version that is installed.
fn installed() -> anyhow::Result<String> {
    let manifest = directory()
        .join("node_modules")
        .join(PACKAGE)
        .join("package.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(&manifest)?)?;
    let version = manifest["version"]
        .as_str()
        .context("its package.json has no version")?;
    Ok(format!("emmett-postgresql {version}"))
}

fn script(database: &str, work: &str) -> Command {
    let mut command = Command::new("node");
    command
        .current_dir(directory())
        .args(["rebuild.mjs", work])
        .env("DATABASE_URL", database);
    command
}

#[async_trait]
impl Contender for Emmett {
    fn name(&self) -> String {
        format!("emmett's rebuild from {} events", self.events)
    }

    /// All of it, without the start of the process.
    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let mut command = script(&self.database, "rebuild");
        let worked = processor::busy_seconds()?;
        let ended: Ended = tokio::task::spawn_blocking(move || child::run(&mut command)).await??;
        let cpu_seconds = processor::busy_seconds()? - worked;
        let rebuilt: Rebuilt = ended.answer()?;
        Ok(Cell {
            acknowledged: self.events,
            worked: self.events,
            cpu_seconds,
            bytes: ended.peak_bytes,
            void: self.fault(&rebuilt),
            ..Cell::of_one(Duration::from_secs_f64(rebuilt.seconds))
        })
    }
}
