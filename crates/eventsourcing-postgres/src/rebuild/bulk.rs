//! The bulk of a rebuild: partitions side by side, rows in memory until it is used up or the target is reached, then
//! written with the checkpoint in one transaction. What was stored is never folded again, whatever dies.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::readers::{Key, Move};
use sqlx::{Connection, PgConnection};
use tokio::sync::{MutexGuard, OnceCell};
use tokio::task::JoinSet;

use super::build::{self, Build};
use super::course::{Checkpoints, Course};
use super::index::{self, Sort};
use super::reading::{Reading, missing};
use super::{Limits, RebuildError, Rebuilder};
use crate::deadline::lend;
use crate::projection::{Parked, ProjectionError, Rows, Skipped, Writing, advance, park, schema, skipped_of};

/// Fewer than these are left to the batches of the catch-up.
const RECORDS_MIN: u64 = 20_000;

/// Rows wait for no disk: lost in a crash of the server, they are lost together with their checkpoint, and the switch
/// waits for all that was before it.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// Folds until the live version is near.
pub(super) async fn run(
    connection: &mut PgConnection,
    build: &Build<'_>,
    limits: &Limits,
) -> Result<(), RebuildError> {
    let Rebuilder {
        topic, projection, ..
    } = build.rebuilder;
    let mut first = true;
    loop {
        let targets = build.targets(&mut *connection).await?;
        let here = build::stored(&mut *connection, build.rebuilder, build.version).await?;
        build.course.aims(&here, &targets);
        let left = missing(&here, &targets);
        if left == 0 || (left < RECORDS_MIN && !first) {
            return Ok(());
        }
        first = false;
        let missing_of = |partition: &u32| missing(&of(&here, *partition), &of(&targets, *partition));
        let mut queue: Vec<u32> = targets.keys().copied().collect();
        queue.retain(|partition| missing_of(partition) > 0);
        // The longest first: it ends last.
        queue.sort_by_key(|partition| std::cmp::Reverse(missing_of(partition)));
        let workers = limits.workers.clamp(1, queue.len());
        let skipped = skipped_of(&mut *connection, projection.name.base(), topic).await?;
        let bulk = Arc::new(Bulk {
            rebuilder: build.rebuilder.clone(),
            version: build.version,
            here,
            targets,
            queue: Mutex::new(queue.into()),
            skipped,
            memory_bytes: limits.memory_bytes / workers,
            keyed: OnceCell::new(),
            adding: tokio::sync::Mutex::new(()),
            course: Arc::clone(&build.course),
        });
        // Aborted when this is dropped.
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(Arc::clone(&bulk).work());
        }
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.expect("a worker does not panic");
            if ended.is_err() && outcome.is_ok() {
                build.course.abandon();
                outcome = ended;
            }
        }
        outcome?;
    }
}

fn of(all: &Checkpoints, partition: u32) -> Checkpoints {
    let checkpoint = all.get(&partition).copied().unwrap_or_default();
    [(partition, checkpoint)].into()
}

struct Bulk {
    rebuilder: Rebuilder,
    version: i32,
    here: Checkpoints,
    targets: Checkpoints,
    queue: Mutex<VecDeque<u32>>,
    skipped: Skipped,
    memory_bytes: usize,
    /// Whether the table has its key.
    keyed: OnceCell<()>,
    /// Held by whoever adds to rows that all partitions share.
    adding: tokio::sync::Mutex<()>,
    course: Arc<Course>,
}

/// What was folded since the last rows were stored.
struct Stretch {
    rows: Box<dyn Rows>,
    refused: Vec<Parked>,
    from: Checkpoints,
    to: Checkpoints,
}

impl Stretch {
    fn moves(&self) -> Vec<Move> {
        let moved = |(partition, to): (&u32, &Checkpoint)| {
            let from = self.from.get(partition).copied().unwrap_or_default();
            (from != *to).then_some(Move {
                partition: *partition,
                from,
                to: *to,
            })
        };
        self.to.iter().filter_map(moved).collect()
    }
}

impl Bulk {
    async fn work(self: Arc<Self>) -> Result<(), RebuildError> {
        let mut lent = lend(&self.rebuilder.pool).await?;
        loop {
            let next = self
                .queue
                .lock()
                .expect("no holder of this lock panics")
                .pop_front();
            let Some(partition) = next else {
                lent.give_back();
                return Ok(());
            };
            self.partition(&mut lent, partition).await?;
        }
    }

    /// Folds one partition up to its target.
    async fn partition(&self, connection: &mut PgConnection, partition: u32) -> Result<(), RebuildError> {
        let (here, targets) = (of(&self.here, partition), of(&self.targets, partition));
        let mut parked = self.parked(&mut *connection, partition).await?;
        let mut fresh = here[&partition] == Checkpoint::default();
        // One for all stretches: what it has fetched ahead is not fetched again.
        let mut reading = Reading::begin(&self.rebuilder, here, &targets).await?;
        while !reading.is_over() {
            if !self.course.is_wanted() {
                self.course.go_on().await?;
                // A pause may outlast what a client has.
                reading = Reading::begin(&self.rebuilder, reading.here().clone(), &targets).await?;
            }
            if !fresh || self.rebuilder.projection.fold.adds() {
                self.key(&mut *connection).await?;
            }
            let stretch = self
                .stretch(&mut *connection, &mut reading, &mut parked, fresh)
                .await?;
            if self.course.is_cancelled() {
                return Err(RebuildError::Cancelled(self.course.projection.clone()));
            }
            let stored = self.store(&mut *connection, stretch).await;
            match stored {
                Err(refused) if refused.is_data() => {
                    tracing::warn!(projection = self.course.projection.as_str(), error = %refused, "rows are refused: batch by batch");
                    self.key(&mut *connection).await?;
                    // What its keys were is forgotten with the stretch.
                    self.batches(&mut *connection, partition, reading.here()).await?;
                    parked = self.parked(&mut *connection, partition).await?;
                }
                stored => stored?,
            }
            fresh = false;
        }
        Ok(())
    }

    /// Makes the table's key, which rows that are new to it do not need.
    async fn key(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let projection = &self.rebuilder.projection;
        let schema = schema(projection.name.as_str(), self.version);
        let sort = Sort {
            bytes: self.memory_bytes,
            helpers: 0,
        };
        let make = index::key(connection, &schema, &projection.table, sort);
        self.keyed.get_or_try_init(|| make).await.copied()
    }

    /// Folds in memory until it is used up, the target is reached, or something else is wanted.
    async fn stretch(
        &self,
        connection: &mut PgConnection,
        reading: &mut Reading<'_>,
        parked: &mut HashSet<Key>,
        fresh: bool,
    ) -> Result<Stretch, RebuildError> {
        let projection = &self.rebuilder.projection;
        let schema = schema(projection.name.as_str(), self.version);
        let from = reading.here().clone();
        let mut rows = projection.fold.rows(fresh);
        let (mut refused, mut refused_bytes) = (Vec::new(), 0);
        while !reading.is_over()
            && rows.bytes() + refused_bytes < self.memory_bytes
            && self.course.is_wanted()
        {
            let batch = reading.next(self.course.batch_max()).await?;
            let events = &*self.skipped.leave_out(&batch.scanned.events);
            rows.load(&mut *connection, &schema, events).await?;
            let unapplied = rows.fold(events, parked);
            // Now rather than when memory is used up.
            projection.tolerate(&unapplied)?;
            for parked in unapplied {
                refused_bytes += parked.bytes();
                refused.push(parked);
            }
            reading.moved(&batch);
            self.course.read(reading.here(), batch.records, batch.bytes);
            self.course.keep_pace(batch.records).await;
        }
        Ok(Stretch {
            rows,
            refused,
            from,
            to: reading.here().clone(),
        })
    }

    /// Held by whoever writes, where all partitions add to the same rows.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.rebuilder.projection.fold.adds() {
            Some(self.adding.lock().await)
        } else {
            None
        }
    }

    /// Rows, checkpoint and what is parked, or nothing.
    async fn store(&self, connection: &mut PgConnection, stretch: Stretch) -> Result<(), ProjectionError> {
        let Rebuilder {
            topic, projection, ..
        } = &self.rebuilder;
        let (name, moves) = (projection.name.as_str(), stretch.moves());
        let turn = self.turn().await;
        let mut transaction = connection.begin_with(BEGIN).await?;
        if !advance(&mut transaction, (name, self.version, topic), &moves).await? {
            return Err(ProjectionError::Overtaken(projection.name.clone()));
        }
        let schema = schema(name, self.version);
        stretch
            .rows
            .write(&mut transaction, &schema, Writing::Copy)
            .await?;
        park(&mut transaction, projection, self.version, &stretch.refused).await?;
        transaction.commit().await?;
        drop(turn);
        Ok(())
    }

    /// The same stretch as the live projector would do it: what the database refuses of an event is parked.
    async fn batches(
        &self,
        connection: &mut PgConnection,
        partition: u32,
        to: &Checkpoints,
    ) -> Result<(), RebuildError> {
        let stored = build::stored(&mut *connection, &self.rebuilder, self.version).await?;
        let reading = Reading::begin(&self.rebuilder, of(&stored, partition), to).await?;
        let _turn = self.turn().await;
        // The course counted these records when they were read first.
        build::fold(connection, &self.rebuilder, self.version, reading, |_, _| ()).await
    }

    /// The keys of this partition that wait behind a parked event.
    async fn parked(
        &self,
        connection: &mut PgConnection,
        partition: u32,
    ) -> Result<HashSet<Key>, sqlx::Error> {
        let keys: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT key FROM daybook.parked_events
             WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4",
        )
        .bind(self.course.projection.as_str())
        .bind(self.version)
        .bind(self.rebuilder.topic.as_str())
        .bind(partition.cast_signed())
        .fetch_all(connection)
        .await?;
        Ok(keys.into_iter().map(|key| (partition, key)).collect())
    }
}
