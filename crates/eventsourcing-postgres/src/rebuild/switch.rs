//! The switch: everything long is done before; what is left is done under locks that are held shortly
//! and waited for even more shortly, again and again.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use super::build::{self, Build};
use super::{RebuildError, Rebuilder};
use crate::deadline::is_lock;
use crate::projection::{ProjectionError, point_view, schema};

/// How long a switch waits for a reader or a projector; others queue behind it meanwhile.
pub(super) const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '200ms'";
/// Between two tries, for those who queued.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Tries: about a minute.
pub(super) const TRIES_MAX: u32 = 90;
/// How long the live projector may be held up while the last records are folded.
const HOLD_MAX: Duration = Duration::from_secs(2);

/// Makes the new version the live one, at the live one's very checkpoint.
pub(super) async fn switch(
    connection: &mut PgConnection,
    build: &Build<'_>,
    live: i32,
) -> Result<(), RebuildError> {
    let name = &build.rebuilder.projection.name;
    for _ in 0..TRIES_MAX {
        // All but what comes in the next moment, without any lock.
        build.catch_up(&mut *connection).await?;
        match tokio::time::timeout(HOLD_MAX, attempt(&mut *connection, build, live)).await {
            Ok(Err(RebuildError::Projection(ProjectionError::Database(error)))) if is_lock(&error) => {
                tracing::info!(projection = name.as_str(), %error, "the switch waits for readers");
            }
            Ok(outcome) => return outcome,
            // Rolled back by being dropped.
            Err(_) => tracing::info!(projection = name.as_str(), "the switch took too long; again"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(RebuildError::InUse(name.clone()))
}

async fn attempt(connection: &mut PgConnection, build: &Build<'_>, live: i32) -> Result<(), RebuildError> {
    let Rebuilder {
        projection, topic, ..
    } = build.rebuilder;
    let name = projection.name.as_str();
    let mut transaction = connection.begin().await?;
    transaction.execute(LOCK_TIMEOUT).await?;
    // The live projector takes this row FOR SHARE in each of its transactions.
    sqlx::query("SELECT 1 FROM daybook.projections WHERE name = $1 AND status = 'active' FOR UPDATE")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    let targets = build::stored(&mut transaction, build.rebuilder, live).await?;
    build.fold_to(&mut transaction, &targets).await?;
    // What was shown of older generations is shown still.
    sqlx::query(
        r#"INSERT INTO daybook.checkpoints (projection, version, topic, partition, "offset", epoch, owner)
           SELECT projection, $3, topic, partition, "offset", epoch, owner FROM daybook.checkpoints
           WHERE projection = $1 AND version = $2 AND topic <> $4 ON CONFLICT DO NOTHING"#,
    )
    .bind(name)
    .bind(live)
    .bind(build.version)
    .bind(topic.as_str())
    .execute(&mut *transaction)
    .await?;
    for (version, status) in [(live, "retired"), (build.version, "active")] {
        sqlx::query("UPDATE daybook.projections SET status = $3 WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(version)
            .bind(status)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "INSERT INTO daybook.projection_retirements (name, version) VALUES ($1, $2)
         ON CONFLICT (name, version) DO UPDATE SET retired_at = now()",
    )
    .bind(name)
    .bind(live)
    .execute(&mut *transaction)
    .await?;
    // Last: from here on readers wait.
    point_view(&mut transaction, &schema(name, build.version), &projection.table).await?;
    sqlx::query("SELECT pg_notify('daybook_checkpoints', $1)")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
