//! Rebuild: the same fold from offset 0 into a new version beside the live one, caught up, verified,
//! and switched in one transaction. Interrupted or killed at any point it leaves the live version as it was, and the
//! next rebuild goes on where this one stored its rows last.
//!
//! Verified means: equal to the live version at the same checkpoint when both were made by one fold;
//! equal to a plain fold of a sample of keys when the fold has changed.

mod back;
mod build;
mod bulk;
mod compare;
mod control;
mod course;
mod error;
mod index;
mod parked;
mod reading;
mod redrive;
mod sample;
mod snapshot;
mod snapshots;
mod switch;
mod versions;

use std::num::NonZeroU64;
use std::sync::Arc;

use eventsourcing::log::Log;
use eventsourcing::topic::Topic;
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::deadline::while_alive;
use crate::projection::{Projection, active, fingerprint, read_checkpoints, refuse_replaced};
use build::{Aim, Build};
pub use control::{Status, status};
use course::Course;
pub use course::{PartitionProgress, Phase, Progress, offsets};
pub use error::RebuildError;
pub use parked::{ParkedKey, count as parked_now, list as parked};
pub use redrive::{Left, Redriven, Skip};
pub use snapshot::{Built, Snapshotter};
pub use snapshots::{Kept, snapshots};

/// What a rebuild may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows in memory, of all workers together, roughly; more are written to the table and read back when they are needed.
    pub memory_bytes: usize,
    /// Partitions read at once.
    pub workers: usize,
    /// Records a second, of all workers together.
    pub events_per_s: Option<NonZeroU64>,
    /// Ends it early: what is in memory is stored, and the next rebuild goes on from there.
    pub stop: CancellationToken,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 * 1024 * 1024,
            workers: 2,
            events_per_s: None,
            stop: CancellationToken::new(),
        }
    }
}

/// How the new version was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// All rows equal those of the version before.
    EqualToLive,
    /// The fold has changed: so many sampled rows equal a plain fold of the log.
    Sample(u64),
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The version that was built.
    pub version: i32,
    /// Its rows when they were verified.
    pub rows: i64,
    /// Records read by this run.
    pub records: u64,
    /// How they were verified.
    pub verified: Verified,
}

/// What a rebuild would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The live version; a snapshot has none.
    pub live: Option<i32>,
    /// The version of an interrupted rebuild that it would go on with.
    pub resumes: Option<i32>,
    /// Whether the live version was made by this very fold, so that all rows can be compared.
    pub same_fold: bool,
    /// Where it would begin and end.
    pub partitions: Vec<PartitionProgress>,
}

/// What is to come of the version once it is built and verified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Switch,
    Discard,
}

/// The versions of one projection, and what can be done about them.
#[derive(Clone)]
pub struct Rebuilder {
    /// Where they are.
    pub pool: PgPool,
    /// What they are folded from.
    pub log: Arc<dyn Log>,
    /// The projection's topic.
    pub topic: Topic,
    /// Which projection.
    pub projection: Projection,
}

impl Rebuilder {
    /// Builds a new version and makes it the live one. `watch` is told about twice a second how far it is. Ends with an
    /// error when PostgreSQL is silent for long.
    pub async fn rebuild(
        &self,
        limits: &Limits,
        watch: impl Fn(&Progress) + Send + Sync,
    ) -> Result<Rebuilt, RebuildError> {
        while_alive(&self.pool, self.alone(limits, Goal::Switch, &watch)).await
    }

    /// Builds a new version, compares it with the live one, and throws it away. The live version goes on meanwhile.
    pub async fn verify(
        &self,
        limits: &Limits,
        watch: impl Fn(&Progress) + Send + Sync,
    ) -> Result<Rebuilt, RebuildError> {
        while_alive(&self.pool, self.alone(limits, Goal::Discard, &watch)).await
    }

    /// What [`Rebuilder::rebuild`] would do now.
    pub async fn plan(&self) -> Result<Plan, RebuildError> {
        let mut connection = self.pool.acquire().await?;
        let live = self.live(&mut connection).await?;
        let made = fingerprint(&mut connection, self.projection.name.as_str(), live).await?;
        let resumes = versions::resumable(&mut connection, &self.projection, &self.topic).await?;
        let (name, topic) = (self.projection.name.as_str(), &self.topic);
        let from = match resumes {
            Some(version) => read_checkpoints(&mut connection, name, version, topic).await?,
            None => course::Checkpoints::new(),
        };
        let to = read_checkpoints(&mut connection, name, live, topic).await?;
        let partitions = to.iter().map(|(partition, to)| PartitionProgress {
            partition: *partition,
            done: from.get(partition).map_or(0, |from| from.next.0),
            total: to.next.0,
        });
        Ok(Plan {
            live: Some(live),
            resumes,
            same_fold: made == Some(self.projection.fingerprint()),
            partitions: partitions.collect(),
        })
    }

    /// An error when this build's projectors cannot work on the live version; says what to do.
    pub async fn check(&self) -> Result<(), RebuildError> {
        let mut connection = self.pool.acquire().await?;
        self.own(&mut connection).await.map(|_| ())
    }

    /// The live version, if this build's fold made it.
    async fn own(&self, connection: &mut PgConnection) -> Result<i32, RebuildError> {
        let name = &self.projection.name;
        refuse_replaced(&mut *connection, name, &self.topic).await?;
        let version = self.live(&mut *connection).await?;
        let made = fingerprint(connection, name.as_str(), version).await?;
        self.projection.own(version, made.as_deref())?;
        Ok(version)
    }

    async fn live(&self, connection: &mut PgConnection) -> Result<i32, RebuildError> {
        let name = &self.projection.name;
        let live = active(connection, name.as_str()).await?;
        live.ok_or(RebuildError::NoLiveVersion(name.clone()))
    }

    /// Does `work` while no other node may change this projection's versions. The session is its own: the lock goes with it,
    /// however this ends.
    async fn locked<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, RebuildError>,
    ) -> Result<T, RebuildError> {
        let name = &self.projection.name;
        let mut connection = self.pool.acquire().await?.detach();
        if !control::try_lock(&mut connection, name.as_str()).await? {
            connection.close().await?;
            return Err(RebuildError::Running(name.clone()));
        }
        let outcome = work(&mut connection).await;
        let unlocked = control::unlock(connection).await;
        let done = outcome?;
        unlocked?;
        Ok(done)
    }

    async fn alone(
        &self,
        limits: &Limits,
        goal: Goal,
        watch: &(impl Fn(&Progress) + Send + Sync),
    ) -> Result<Rebuilt, RebuildError> {
        let name = &self.projection.name;
        self.locked(async |connection| {
            refuse_replaced(&mut *connection, name, &self.topic).await?;
            let live = self.live(&mut *connection).await?;
            let made = fingerprint(&mut *connection, name.as_str(), live).await?;
            let same_fold = made == Some(self.projection.fingerprint());
            if goal == Goal::Discard {
                self.projection.own(live, made.as_deref())?;
            }
            let version = versions::begin(&mut *connection, &self.projection, &self.topic).await?;
            control::begin(&mut *connection, name.as_str(), version, limits.events_per_s).await?;
            // What an interrupted rebuild parked may have been mended or skipped since.
            self.redrive_all(&mut *connection, version).await?;
            let course = Arc::new(Course::new(name.clone(), version, limits));
            let build = Build {
                rebuilder: self,
                aim: Aim::Live(live),
                version,
                course: Arc::clone(&course),
            };
            let outcome = tokio::select! {
                outcome = make(&mut *connection, &build, live, limits, goal, same_fold) => outcome,
                never = control::follow(&self.pool, &course, watch) => match never {},
            };
            let outcome = outcome.map_err(|error| error.told_apart(name.clone()));
            watch(&course.progress());
            end(connection, name.as_str(), version, goal, &outcome).await?;
            outcome
        })
        .await
    }
}

/// Everything between the new table and the switch.
async fn make(
    connection: &mut PgConnection,
    build: &Build<'_>,
    live: i32,
    limits: &Limits,
    goal: Goal,
    same_fold: bool,
) -> Result<Rebuilt, RebuildError> {
    if same_fold {
        compare::refuse_altered(&mut *connection, build, live).await?;
    }
    bulk::run(&mut *connection, build, limits).await?;
    build.course.enter(Phase::Indexing);
    index::all(&mut *connection, build, limits).await?;
    build.course.enter(Phase::Verifying);
    let (rows, verified) = if same_fold {
        let rows = compare::with_live(&mut *connection, build, live, limits.workers).await?;
        (rows, Verified::EqualToLive)
    } else {
        build.catch_up(&mut *connection).await?;
        let (rows, sampled, _) = sample::check(&mut *connection, build).await?;
        (rows, Verified::Sample(sampled))
    };
    if goal == Goal::Switch {
        build.course.enter(Phase::Switching);
        switch::switch(connection, build, live).await?;
    }
    Ok(Rebuilt {
        version: build.version,
        rows,
        records: build.course.records(),
        verified,
    })
}

/// What stays and what goes. A version that only lacks time is kept for the next rebuild to go on with.
async fn end(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
    goal: Goal,
    outcome: &Result<Rebuilt, RebuildError>,
) -> Result<(), RebuildError> {
    match outcome {
        Ok(_) if goal == Goal::Switch => versions::retire_old(&mut *connection, name).await?,
        Ok(_) => versions::discard(&mut *connection, name, version).await?,
        Err(error) if error.can_go_on() => return Ok(()),
        Err(_) => versions::discard_failed(&mut *connection, name, version).await,
    }
    Ok(control::end(connection, name).await?)
}
