//! Rebuild: the same fold from offset 0 into a new version beside the live one, caught up, verified,
//! and switched in one transaction. Killed at any point it leaves the live version as it was; the next
//! rebuild clears what was left.
//!
//! Verified means: equal to the live version at the same checkpoint when both were made by one fold;
//! equal to a plain fold of a sample of keys when the fold has changed.

mod build;
mod compare;
mod sample;
mod switch;
mod versions;

use std::sync::Arc;

use eventsourcing::log::Log;
use eventsourcing::topic::Topic;
use sqlx::{Connection, PgConnection, PgPool};
use thiserror::Error;

use crate::deadline::while_alive;
use crate::projection::{
    Projection, ProjectionError, active, create_indexes, fingerprint, refuse_replaced, schema,
};
use build::Build;

/// Why a rebuild did not switch. The live version is as before.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// There is nothing to rebuild.
    #[error("the projection {0} has no live version yet; it is built when `daybook projections` first runs")]
    NoLiveVersion(&'static str),
    /// Another rebuild of it is running.
    #[error("another rebuild of {0} is running")]
    Running(&'static str),
    /// The rebuilt rows are not the live ones, though one fold made both.
    #[error("the rebuilt {projection} differs from the live one, which stays: {}", examples.join("; "))]
    Differs {
        /// Which projection.
        projection: &'static str,
        /// The first rows that differ.
        examples: Vec<String>,
    },
    /// The rows of the changed fold are not those of the same fold done plainly.
    #[error("the rebuilt {projection} differs from a plain fold of a sample, the live one stays: {}", examples.join("; "))]
    SampleDiffers {
        /// Which projection.
        projection: &'static str,
        /// The first rows that differ.
        examples: Vec<String>,
    },
    /// Long reads never let go of the view.
    #[error("{0} cannot be switched: its view is in use all the time; end the long reads and try again")]
    InUse(&'static str),
    /// Reading or writing failed.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Projection(error.into())
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
    /// The version that is live now.
    pub version: i32,
    /// Its rows when they were verified.
    pub rows: i64,
    /// Records read.
    pub records: u64,
    /// How they were verified.
    pub verified: Verified,
}

/// Rebuilds one projection from the topic that it folds. `progress` gets records done and records to do. Ends with an error when
/// PostgreSQL is silent for long.
pub async fn rebuild(
    pool: &PgPool,
    log: &Arc<dyn Log>,
    topic: &Topic,
    projection: &Projection,
    progress: impl Fn(u64, u64) + Send + Sync,
) -> Result<Rebuilt, RebuildError> {
    while_alive(pool, rebuild_alone(pool, log, topic, projection, progress)).await
}

async fn rebuild_alone(
    pool: &PgPool,
    log: &Arc<dyn Log>,
    topic: &Topic,
    projection: &Projection,
    progress: impl Fn(u64, u64) + Send + Sync,
) -> Result<Rebuilt, RebuildError> {
    // A session of its own: its advisory lock goes with it, however this ends.
    let mut connection = pool.acquire().await?.detach();
    let name = projection.name;
    let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 1))")
        .bind(format!("daybook.rebuild.{name}"))
        .fetch_one(&mut connection)
        .await?;
    if !locked {
        return Err(RebuildError::Running(name));
    }
    refuse_replaced(&mut connection, name, topic).await?;
    let live = active(&mut connection, name).await?;
    let live = live.ok_or(RebuildError::NoLiveVersion(name))?;
    let version = versions::begin(&mut connection, projection).await?;
    let mut build = Build::new(log, projection, topic.clone(), live, version);
    build.catch_up(&mut connection, &progress).await?;
    create_indexes(&mut connection, &schema(name, version), &projection.table).await?;
    let outcome = finish(pool, &mut connection, &mut build, &progress).await;
    match &outcome {
        Ok(_) => versions::retire_old(&mut connection, name).await?,
        Err(_) => versions::discard_failed(&mut connection, name, version).await,
    }
    // The next one may begin when this returns, and not only when the server has noticed that the session is over.
    sqlx::query("SELECT pg_advisory_unlock_all()")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    outcome
}

async fn finish(
    pool: &PgPool,
    connection: &mut PgConnection,
    build: &mut Build<'_>,
    progress: &(impl Fn(u64, u64) + Send + Sync),
) -> Result<Rebuilt, RebuildError> {
    let projection = build.projection;
    let made = fingerprint(&mut *connection, projection.name, build.live).await?;
    let (rows, verified) = if made == Some(projection.fingerprint()) {
        let rows = compare::with_live(pool, connection, build, progress).await?;
        (rows, Verified::EqualToLive)
    } else {
        build.catch_up(&mut *connection, progress).await?;
        let (rows, sampled) = sample::check(connection, build).await?;
        (rows, Verified::Sample(sampled))
    };
    switch::switch(connection, build, progress).await?;
    Ok(Rebuilt {
        version: build.version,
        rows,
        records: build.records,
        verified,
    })
}
