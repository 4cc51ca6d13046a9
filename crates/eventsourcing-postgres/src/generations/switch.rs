//! The switch to the next generation of topics, in one transaction: whoever reads the read models afterwards finds
//! them at the place in the new topics that is the seal of the old ones.

use std::time::Duration;

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::repartition::Checkpoints;
use eventsourcing::topic::Topic;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use thiserror::Error;

use super::stands::{Moved, missing, moved_of};
use crate::deadline::{is_lock, lend, within};
use crate::projection::{Projection, active};

/// How long the switch waits for a lock; whoever holds one writes a batch.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
/// Then others go on, and it is tried again: about a minute.
const TRIES_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// How long the server may take for one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there was no switch. Nothing has changed.
#[derive(Debug, Error)]
pub enum SwitchError {
    /// A read model has not seen everything of the old topics.
    #[error("{0} has not come to the end of the old topics")]
    Behind(&'static str),
    /// Its version would miss the rest of a key's events, which wait behind one that is parked in an old partition.
    #[error(
        "{projection} has {events} parked events (`daybook parked list`): mend what they fail on and run `daybook \
         rebuild {projection}`, then this again"
    )]
    Parked {
        /// The projection.
        projection: &'static str,
        /// How many.
        events: i64,
    },
    /// What it leaves out is known by its place in the old topic.
    #[error(
        "{projection} has {events} skipped events (`daybook.skipped_events`), known by their places in these topics: a shop \
         with any cannot be repartitioned yet"
    )]
    Skipped {
        /// The projection.
        projection: &'static str,
        /// How many.
        events: i64,
    },
    /// It would go live with the old topic's checkpoints.
    #[error("a rebuild of {0} is running: wait until it has ended")]
    Rebuilding(&'static str),
    /// Nobody has begun this generation, or it is live already.
    #[error("generation {0} is live already, or was never begun")]
    NotNext(u32),
    /// PostgreSQL is away or refuses.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

/// Whether anything but the read models' own progress would stand in the way of a switch just now: better known
/// before the seal than after it.
pub async fn preflight(
    pool: &PgPool,
    read_models: &[Projection],
    states: &[Projection],
) -> Result<(), SwitchError> {
    let mut lent = lend(pool).await?;
    let asking = async {
        let mut transaction = lent.begin().await?;
        for projection in read_models.iter().chain(states) {
            if !rebuild_free(&mut transaction, projection.name()).await? {
                return Err(SwitchError::Rebuilding(projection.name()));
            }
        }
        for projection in read_models {
            if let Some(version) = active(&mut transaction, projection.name()).await? {
                refuse_parked(&mut transaction, projection.name(), version).await?;
            }
        }
        Ok(transaction.rollback().await?)
    };
    within(TRY_TIMEOUT, asking).await?;
    lent.give_back();
    Ok(())
}

/// Makes generation `number` of the topics under `prefix` the live one. `states` are made anew from the new topics,
/// for their rows hold offsets. `resumed` says where each process goes on in a new topic.
pub async fn switch(
    pool: &PgPool,
    (prefix, number): (&str, u32),
    read_models: &[Projection],
    states: &[Projection],
    moved: &[Moved],
    resumed: &[(String, Topic, Checkpoints)],
) -> Result<(), SwitchError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut lent = lend(pool).await?;
        let attempt = attempt(&mut lent, (prefix, number), read_models, states, moved, resumed);
        match tokio::time::timeout(TRY_TIMEOUT, attempt).await {
            Ok(Err(SwitchError::Database(error))) if tries < TRIES_MAX && is_lock(&error) => {
                tracing::info!(%error, "the switch waits for projectors");
            }
            Ok(outcome) => {
                if outcome.is_ok() {
                    lent.give_back();
                }
                return outcome;
            }
            Err(late) if tries >= TRIES_MAX => return Err(sqlx::Error::Io(late.into()).into()),
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(
    connection: &mut PgConnection,
    (prefix, number): (&str, u32),
    read_models: &[Projection],
    states: &[Projection],
    moved: &[Moved],
    resumed: &[(String, Topic, Checkpoints)],
) -> Result<(), SwitchError> {
    let mut transaction = connection.begin().await?;
    transaction.execute(LOCK_TIMEOUT).await?;
    for projection in read_models.iter().chain(states) {
        hold(&mut transaction, projection.name()).await?;
    }
    for projection in read_models {
        carry_on(&mut transaction, projection, moved).await?;
    }
    for projection in states {
        // Whoever projects next makes the next version, from the beginning of the new topic.
        sqlx::query(
            "UPDATE daybook.projections SET status = 'retired' WHERE name = $1 AND status = 'active'",
        )
        .bind(projection.name())
        .execute(&mut *transaction)
        .await?;
    }
    for (process, topic, checkpoints) in resumed {
        for (partition, checkpoint) in checkpoints {
            resume(&mut transaction, process, topic, *partition, checkpoint).await?;
        }
    }
    let live = sqlx::query(
        "UPDATE daybook.generations SET live_at = now(), sealed_at = coalesce(sealed_at, now())
         WHERE prefix = $1 AND generation = $2 AND live_at IS NULL",
    )
    .bind(prefix)
    .bind(number.cast_signed())
    .execute(&mut *transaction)
    .await?;
    if live.rows_affected() != 1 {
        return Err(SwitchError::NotNext(number));
    }
    Ok(transaction.commit().await?)
}

/// Nobody rebuilds the projection or makes its first version meanwhile.
async fn hold(connection: &mut PgConnection, name: &'static str) -> Result<(), SwitchError> {
    if !rebuild_free(&mut *connection, name).await? {
        return Err(SwitchError::Rebuilding(name));
    }
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("daybook.projection.{name}"))
        .execute(&mut *connection)
        .await?;
    // A projector takes this row FOR SHARE in each of its transactions.
    sqlx::query("SELECT 1 FROM daybook.projections WHERE name = $1 AND status = 'active' FOR UPDATE")
        .bind(name)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Whether nobody rebuilds it; nobody will until the transaction ends.
async fn rebuild_free(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 1))")
        .bind(format!("daybook.rebuild.{name}"))
        .fetch_one(connection)
        .await
}

async fn refuse_parked(
    connection: &mut PgConnection,
    projection: &'static str,
    version: i32,
) -> Result<(), SwitchError> {
    let events: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM daybook.parked_events WHERE projection = $1 AND version = $2",
    )
    .bind(projection)
    .bind(version)
    .fetch_one(&mut *connection)
    .await?;
    if events > 0 {
        return Err(SwitchError::Parked { projection, events });
    }
    let skipped = "SELECT count(*) FROM daybook.skipped_events WHERE projection = $1";
    let events: i64 = sqlx::query_scalar(skipped)
        .bind(projection)
        .fetch_one(connection)
        .await?;
    if events > 0 {
        return Err(SwitchError::Skipped { projection, events });
    }
    Ok(())
}

/// The live version goes on in the new topic, behind what was copied. Its checkpoints in the old one stay: what was
/// asked of that is shown.
async fn carry_on(
    connection: &mut PgConnection,
    projection: &Projection,
    moved: &[Moved],
) -> Result<(), SwitchError> {
    let name = projection.name();
    let (Some(version), Some(of)) = (active(&mut *connection, name).await?, moved_of(projection, moved))
    else {
        return Ok(());
    };
    refuse_parked(&mut *connection, name, version).await?;
    if missing(&mut *connection, projection, moved).await? != Some(0) {
        return Err(SwitchError::Behind(name));
    }
    for (partition, Checkpoint { next, rule }) in &of.ends {
        sqlx::query(
            r#"INSERT INTO daybook.checkpoints (projection, version, topic, partition, "offset", epoch, owner)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (projection, version, topic, partition) DO UPDATE
               SET "offset" = EXCLUDED."offset", epoch = EXCLUDED.epoch, owner = EXCLUDED.owner"#,
        )
        .bind(name)
        .bind(version)
        .bind(of.to.as_str())
        .bind(partition.cast_signed())
        .bind(next.0.cast_signed() - 1)
        .bind(rule.epoch().0.cast_signed())
        .bind(rule.current().map(|term| term.owner.0))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("SELECT pg_notify('daybook_checkpoints', $1)")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

async fn resume(
    connection: &mut PgConnection,
    process: &str,
    topic: &Topic,
    partition: u32,
    Checkpoint { next, rule }: &Checkpoint,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO daybook.process_checkpoints (process, topic, partition, next, epoch, owner)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (process, topic, partition) DO UPDATE
         SET next = EXCLUDED.next, epoch = EXCLUDED.epoch, owner = EXCLUDED.owner",
    )
    .bind(process)
    .bind(topic.as_str())
    .bind(partition.cast_signed())
    .bind(next.0.cast_signed())
    .bind(rule.epoch().0.cast_signed())
    .bind(rule.current().map(|term| term.owner.0))
    .execute(connection)
    .await
    .map(|_| ())
}
