//! `daybook rebuild orders`, as an operator runs it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use eventsourcing_postgres::rebuild::Rebuilder;
use serde::Deserialize;

use super::super::past::Past;
use super::child;
use crate::cell::{Cell, Contender};
use crate::processor;
use crate::system::{self, Place};

pub(super) struct Rebuilding {
    daybook: PathBuf,
    place: Place,
    rebuilder: Rebuilder,
    pub(super) rows: i64,
    events: u64,
}

/// The last line of `daybook rebuild --json`.
#[derive(Deserialize)]
struct Switched {
    event: String,
    rows: i64,
    same_fold: bool,
}

impl Rebuilding {
    pub(super) async fn new(daybook: &std::path::Path, past: &Past) -> anyhow::Result<Self> {
        let topic = past.rebuilder.topic.as_str();
        let prefix = topic.strip_suffix(".orders.events");
        let place = Place {
            log: "kafka",
            brokers: past.brokers.clone(),
            database: past.database.clone(),
            prefix: prefix.context("not a topic of orders")?.to_owned(),
            partitions: past.partitions,
            flush: false,
            linger_ms: 0.0,
            requests_max: None,
        };
        Ok(Self {
            daybook: daybook.to_owned(),
            place,
            rebuilder: past.rebuilder.clone(),
            rows: past.rows().await?,
            events: past.events,
        })
    }
}

#[async_trait]
impl Contender for Rebuilding {
    fn name(&self) -> String {
        format!("daybook rebuild from {} events", self.events)
    }

    /// All of it, from the start of the process to its end.
    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let directory = tempfile::tempdir()?;
        let mut command = system::rebuild(&self.daybook, &self.place, directory.path(), "orders");
        let worked = processor::busy_seconds()?;
        let ended = tokio::task::spawn_blocking(move || child::run(&mut command)).await??;
        let cpu_seconds = processor::busy_seconds()? - worked;
        self.rebuilder.drop_retired().await?;
        let answer: Switched = ended.answer()?;
        let sound = answer.event == "switched" && answer.same_fold && answer.rows == self.rows;
        Ok(Cell {
            acknowledged: self.events,
            worked: self.events,
            cpu_seconds,
            bytes: ended.peak_bytes,
            void: (!sound).then(|| format!("{} rows instead of {}", answer.rows, self.rows)),
            ..Cell::of_one(ended.took)
        })
    }
}
