//! Parked events again, key by key in their order: after the fold was mended, or without one that is left out for ever.
//!
//! Who folds them holds the partition's checkpoint row: the live projector moves it first in each of its transactions, so it
//! parks more behind a key either before, and then that is folded too, or after, and then it finds nothing parked and
//! folds its events itself. Nothing is read from the log meanwhile.

use std::collections::{BTreeMap, HashSet};

use eventsourcing::readers::Event;
use sqlx::{Connection, PgConnection};

use super::parked::offsets;
use super::{RebuildError, Rebuilder};
use crate::deadline::while_alive;
use crate::projection::{Parked, ProjectionError, active_version, begin, one_by_one, schema, skipped_of};

/// An event to leave out.
#[derive(Clone, Debug)]
pub struct Skip {
    /// Its key.
    pub key: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Why, for those who ask later.
    pub reason: String,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// Which key.
    pub key: String,
    /// Its events that are in the rows now.
    pub applied: u64,
    /// What is still parked.
    pub left: Option<Left>,
}

/// The event that a key waits at now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its place.
    pub at: String,
    /// What it fails on.
    pub error: String,
}

/// One transaction's work.
struct Step {
    applied: u64,
    left: Option<Left>,
}

impl Rebuilder {
    /// Folds the parked events of the live version again; only those of `key`, if one is named.
    pub async fn retry(&self, key: Option<&str>) -> Result<Vec<Redriven>, RebuildError> {
        let retry = self.locked(async |connection| {
            let live = self.live(&mut *connection).await?;
            // Where nothing waits it does not matter whose fold it is.
            if self.keys(&mut *connection, live, key).await?.is_empty() {
                return Err(self.nothing_parked(key));
            }
            let version = self.own(&mut *connection).await?;
            self.redrive_keys(&mut *connection, version, key).await
        });
        while_alive(&self.pool, retry).await
    }

    /// Leaves out the first parked event of a key for ever, in all versions, and folds what waits behind it. The first of
    /// those that fails is parked with its own error.
    pub async fn skip(&self, skip: &Skip) -> Result<Redriven, RebuildError> {
        let skipping = self.locked(async |connection| {
            let version = self.own(&mut *connection).await?;
            let of = (skip.partition.cast_signed(), &*skip.key);
            self.redrive(&mut *connection, version, of, Some(skip)).await
        });
        while_alive(&self.pool, skipping).await
    }

    /// What is parked in a version that is not live, before it is built on.
    pub(super) async fn redrive_all(
        &self,
        connection: &mut PgConnection,
        version: i32,
    ) -> Result<(), RebuildError> {
        self.redrive_keys(connection, version, None).await.map(|_| ())
    }

    fn nothing_parked(&self, key: Option<&str>) -> RebuildError {
        RebuildError::NothingParked {
            projection: self.projection.name.clone(),
            key: key.map(ToOwned::to_owned),
        }
    }

    /// The keys that wait, with their partitions.
    async fn keys(
        &self,
        connection: &mut PgConnection,
        version: i32,
        key: Option<&str>,
    ) -> Result<Vec<(i32, String)>, sqlx::Error> {
        sqlx::query_as(
            "SELECT DISTINCT partition, key FROM daybook.parked_events
             WHERE projection = $1 AND version = $2 AND topic = $3 AND ($4::text IS NULL OR key = $4) ORDER BY 1, 2",
        )
        .bind(self.projection.name.as_str())
        .bind(version)
        .bind(self.topic.as_str())
        .bind(key)
        .fetch_all(connection)
        .await
    }

    async fn redrive_keys(
        &self,
        connection: &mut PgConnection,
        version: i32,
        key: Option<&str>,
    ) -> Result<Vec<Redriven>, RebuildError> {
        let mut redriven = Vec::new();
        for (partition, key) in self.keys(&mut *connection, version, key).await? {
            let of = (partition, &*key);
            redriven.push(self.redrive(&mut *connection, version, of, None).await?);
        }
        Ok(redriven)
    }

    async fn redrive(
        &self,
        connection: &mut PgConnection,
        version: i32,
        of: (i32, &str),
        mut skip: Option<&Skip>,
    ) -> Result<Redriven, RebuildError> {
        let mut redriven = Redriven {
            key: of.1.to_owned(),
            applied: 0,
            left: None,
        };
        loop {
            let mut wanted = offsets(&mut *connection, self, version, of).await?;
            if wanted.is_empty() && skip.is_some() {
                return Err(self.nothing_parked(Some(of.1)));
            }
            if wanted.is_empty() {
                return Ok(redriven);
            }
            if let Some(skip) = skip {
                // Its record may be gone.
                wanted.retain(|offset| offset.cast_unsigned() != skip.offset);
            }
            let events = self.read_again(of.0, &wanted).await?;
            let step = self
                .step(&mut *connection, version, of, &events, skip.take())
                .await?;
            redriven.applied += step.applied;
            if step.left.is_some() {
                redriven.left = step.left;
                return Ok(redriven);
            }
        }
    }

    /// Folds what was read of the key, and what was folded waits no more.
    async fn step(
        &self,
        connection: &mut PgConnection,
        version: i32,
        of: (i32, &str),
        events: &BTreeMap<i64, Event>,
        skip: Option<&Skip>,
    ) -> Result<Step, RebuildError> {
        let name = self.projection.name.as_str();
        let mut transaction = begin(connection).await?;
        // As the live projector does: first the version, against a switch, then the checkpoint.
        active_version(&mut transaction, name).await?;
        sqlx::query(
            "SELECT 1 FROM daybook.checkpoints
             WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 FOR UPDATE",
        )
        .bind(name)
        .bind(version)
        .bind(self.topic.as_str())
        .bind(of.0)
        .execute(&mut *transaction)
        .await?;
        let mut parked = offsets(&mut transaction, self, version, of).await?;
        if let Some(skip) = skip {
            self.leave_out(&mut transaction, of.0, parked.first(), skip)
                .await?;
            parked.remove(0);
            self.forget(&mut transaction, version, of.0, &[skip.offset.cast_signed()])
                .await?;
        }
        let skipped = skipped_of(&mut transaction, self.projection.name.base(), &self.topic).await?;
        // What was parked since the log was read has its turn in the next step.
        let read: Vec<Event> = parked.iter().map_while(|at| events.get(at).cloned()).collect();
        let remaining = skipped.leave_out(&read).into_owned();
        let refused = self.fold_again(&mut transaction, version, &remaining).await?;
        let place = |parked: &Parked| parked.stored.offset.0.cast_signed();
        let refused_at: HashSet<i64> = refused.iter().map(place).collect();
        let done: Vec<i64> = parked[..read.len()]
            .iter()
            .copied()
            .filter(|at| !refused_at.contains(at))
            .collect();
        self.forget(&mut transaction, version, of.0, &done).await?;
        let left = refused.first().map(|first| Left {
            at: format!("{}@{}", first.stored.at, first.stored.offset),
            error: first.error.replace('\0', "\u{fffd}"),
        });
        if let (Some(first), Some(left)) = (refused.first(), &left) {
            self.say_again(&mut transaction, version, of.0, place(first), &left.error)
                .await?;
        }
        transaction.commit().await?;
        let applied = (remaining.len() - refused.len()) as u64;
        Ok(Step { applied, left })
    }

    /// In one go, or, where the database refuses something, one by one.
    async fn fold_again(
        &self,
        connection: &mut PgConnection,
        version: i32,
        events: &[Event],
    ) -> Result<Vec<Parked>, ProjectionError> {
        let schema = schema(self.projection.name.as_str(), version);
        let mut savepoint = connection.begin().await?;
        let at_once = self
            .projection
            .fold
            .apply(&mut savepoint, &schema, events, HashSet::new());
        match at_once.await {
            Ok(refused) => {
                savepoint.commit().await?;
                Ok(refused)
            }
            Err(error) if error.is_data() => {
                savepoint.rollback().await?;
                one_by_one(connection, &self.projection, &schema, events, HashSet::new()).await
            }
            Err(error) => Err(error),
        }
    }

    async fn leave_out(
        &self,
        connection: &mut PgConnection,
        partition: i32,
        first: Option<&i64>,
        skip: &Skip,
    ) -> Result<(), RebuildError> {
        let first = first.ok_or_else(|| self.nothing_parked(Some(&skip.key)))?;
        if first.cast_unsigned() != skip.offset {
            let at = self.topic.partition(partition.cast_unsigned());
            return Err(RebuildError::NotFirst {
                projection: self.projection.name.clone(),
                key: skip.key.clone(),
                first: format!("{at}@{first}"),
            });
        }
        sqlx::query(
            r#"INSERT INTO daybook.skipped_events (projection, topic, partition, "offset", key, reason)
               VALUES ($1, $2, $3, $4, $5, $6)"#,
        )
        .bind(self.projection.name.as_str())
        .bind(self.topic.as_str())
        .bind(partition)
        .bind(skip.offset.cast_signed())
        .bind(&skip.key)
        .bind(&skip.reason)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn forget(
        &self,
        connection: &mut PgConnection,
        version: i32,
        partition: i32,
        offsets: &[i64],
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            r#"DELETE FROM daybook.parked_events
               WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 AND "offset" = ANY($5)"#,
        )
        .bind(self.projection.name.as_str())
        .bind(version)
        .bind(self.topic.as_str())
        .bind(partition)
        .bind(offsets)
        .execute(connection)
        .await
        .map(|_| ())
    }

    async fn say_again(
        &self,
        connection: &mut PgConnection,
        version: i32,
        partition: i32,
        offset: i64,
        error: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            r#"UPDATE daybook.parked_events SET error = $6
               WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 AND "offset" = $5"#,
        )
        .bind(self.projection.name.as_str())
        .bind(version)
        .bind(self.topic.as_str())
        .bind(partition)
        .bind(offset)
        .bind(error)
        .execute(connection)
        .await
        .map(|_| ())
    }
}
