//! A snapshot: a read model as it stood at an instant, beside the live one, which is not touched. It is a projection of
//! its own name and of fewer events, so everything that makes a rebuild makes it, but for what has to do with a live
//! version: it ends where the log ended when it began, it is compared with a plain fold, and nobody goes on with it.

use std::num::NonZeroU64;
use std::sync::Arc;

use sqlx::PgConnection;

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::snapshot::instant;
use eventsourcing::topic::Topic;

use super::build::{Aim, Build};
use super::course::{Checkpoints, Course, PartitionProgress, Phase, Progress};
use super::{Limits, Plan, RebuildError, Rebuilder, bulk, control, index, sample, snapshots, versions};
use crate::deadline::while_alive;
use crate::projection::{Filter, Name, ProjectionError, read_checkpoints, refuse_replaced};

/// Builds and removes one snapshot.
#[derive(Clone)]
pub struct Snapshotter {
    /// Of the derived projection. It stays in here: a projector must never get hold of it.
    rebuilder: Rebuilder,
    filter: Filter,
}

/// A snapshot that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its version.
    pub version: i32,
    /// Its rows.
    pub rows: i64,
    /// Rows of them that equal a plain fold of the log.
    pub sampled: u64,
    /// Events that happened before the instant.
    pub events: u64,
    /// Records read by this run.
    pub records: u64,
    /// Events of these that could not be applied, and of how many keys.
    pub parked: (i64, i64),
}

impl Rebuilder {
    /// The read model as it stood at the filter's instant.
    pub fn as_of(&self, filter: Filter) -> Result<Snapshotter, RebuildError> {
        let projection = self.projection.filtered(filter.clone());
        if filter.only.is_some() && !projection.counts() {
            return Err(RebuildError::NotCounters(self.projection.name.clone()));
        }
        let rebuilder = Self {
            projection,
            ..self.clone()
        };
        Ok(Snapshotter { rebuilder, filter })
    }
}

impl Snapshotter {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.rebuilder.projection.name
    }

    /// What it is folded from.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.rebuilder.topic
    }

    /// Which events count.
    #[must_use]
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Builds it; one of the same instant that is there is replaced in one transaction.
    pub async fn build(
        &self,
        limits: &Limits,
        watch: impl Fn(&Progress) + Send + Sync,
    ) -> Result<Built, RebuildError> {
        while_alive(&self.rebuilder.pool, self.alone(limits, &watch)).await
    }

    /// What [`Snapshotter::build`] would read now.
    pub async fn plan(&self) -> Result<Plan, RebuildError> {
        let Rebuilder {
            pool,
            projection,
            topic,
            ..
        } = &self.rebuilder;
        let mut connection = pool.acquire().await?;
        let resumes = versions::resumable(&mut connection, projection, topic).await?;
        let from = match resumes {
            Some(version) => {
                read_checkpoints(&mut connection, projection.name.as_str(), version, topic).await?
            }
            None => Checkpoints::new(),
        };
        let progress = |(partition, end): (u32, Checkpoint)| PartitionProgress {
            partition,
            done: from.get(&partition).map_or(0, |from| from.next.0),
            total: end.next.0,
        };
        Ok(Plan {
            live: None,
            resumes,
            same_fold: false,
            partitions: self.end().await?.into_iter().map(progress).collect(),
        })
    }

    /// Pauses the build, or lets it go on.
    pub async fn pause(&self, paused: bool) -> Result<(), RebuildError> {
        self.rebuilder.pause(paused).await
    }

    /// Holds the build back to so many records a second, or lets it run as fast as it can.
    pub async fn throttle(&self, events_per_s: Option<NonZeroU64>) -> Result<(), RebuildError> {
        self.rebuilder.throttle(events_per_s).await
    }

    /// Ends the build and removes what it made; a snapshot that was there before stays.
    pub async fn cancel(&self) -> Result<(), RebuildError> {
        self.rebuilder.cancel().await
    }

    /// Removes the snapshot, and what an interrupted build left.
    pub async fn remove(&self) -> Result<(), RebuildError> {
        let name = self.name();
        let removing = self.rebuilder.locked(async |connection| {
            let there = snapshots::remove(&mut *connection, &self.rebuilder.projection).await?;
            control::end(connection, name.as_str()).await?;
            Ok(there)
        });
        if while_alive(&self.rebuilder.pool, removing).await? {
            Ok(())
        } else {
            Err(RebuildError::NoSnapshot(name.clone()))
        }
    }

    /// Where the log ends: everything that was acknowledged before is folded.
    async fn end(&self) -> Result<Checkpoints, RebuildError> {
        let Rebuilder { log, topic, .. } = &self.rebuilder;
        let mut end = Checkpoints::new();
        for partition in 0..log.partitions(topic).await.map_err(ProjectionError::from)? {
            let bounds = log.bounds(&topic.partition(partition)).await;
            let next = bounds.map_err(ProjectionError::from)?.end;
            // Only where it is counts: the term that is open there is found by folding.
            let checkpoint = Checkpoint {
                next,
                ..Checkpoint::default()
            };
            end.insert(partition, checkpoint);
        }
        Ok(end)
    }

    async fn alone(
        &self,
        limits: &Limits,
        watch: &(impl Fn(&Progress) + Send + Sync),
    ) -> Result<Built, RebuildError> {
        let Rebuilder {
            pool,
            projection,
            topic,
            ..
        } = &self.rebuilder;
        let name = self.name();
        self.rebuilder
            .locked(async |connection| {
                refuse_replaced(&mut *connection, name, topic).await?;
                snapshots::refuse_another(&mut *connection, name).await?;
                let end = self.end().await?;
                let version = versions::begin(&mut *connection, projection, topic).await?;
                control::begin(&mut *connection, name.as_str(), version, limits.events_per_s).await?;
                let course = Arc::new(Course::new(name.clone(), version, limits));
                let build = Build {
                    rebuilder: &self.rebuilder,
                    aim: Aim::End(end),
                    version,
                    course: Arc::clone(&course),
                };
                let outcome = tokio::select! {
                    outcome = self.make(&mut *connection, &build, limits) => outcome,
                    never = control::follow(pool, &course, watch) => match never {},
                };
                let outcome = outcome.map_err(|error| error.told_apart(name.clone()));
                watch(&course.progress());
                match &outcome {
                    Ok(_) => snapshots::discard_replaced(&mut *connection, name.as_str()).await?,
                    Err(error) if error.can_go_on() => return outcome,
                    Err(_) => versions::discard_failed(&mut *connection, name.as_str(), version).await,
                }
                control::end(connection, name.as_str()).await?;
                outcome
            })
            .await
    }

    /// Everything between the new table and its place among the snapshots.
    async fn make(
        &self,
        connection: &mut PgConnection,
        build: &Build<'_>,
        limits: &Limits,
    ) -> Result<Built, RebuildError> {
        let Rebuilder { projection, .. } = &self.rebuilder;
        bulk::run(&mut *connection, build, limits).await?;
        build.course.enter(Phase::Indexing);
        index::all(&mut *connection, build, limits).await?;
        build.course.enter(Phase::Verifying);
        let (rows, sampled, admitted) = sample::check(&mut *connection, build).await?;
        if admitted.events == 0 {
            let first = admitted.first.map(instant);
            let projection = projection.name.clone();
            return Err(RebuildError::NothingHappened { projection, first });
        }
        build.course.enter(Phase::Switching);
        let built = Built {
            version: build.version,
            rows,
            sampled,
            events: admitted.events,
            records: build.course.records(),
            parked: snapshots::parked(&mut *connection, projection.name.as_str(), build.version).await?,
        };
        snapshots::put(connection, projection, &self.filter, &built).await?;
        Ok(built)
    }
}
