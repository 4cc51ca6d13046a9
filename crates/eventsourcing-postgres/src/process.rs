//! Where processes keep how far they have come.

use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::checkpoint::{Checkpoint, CheckpointError, ProcessCheckpoints};
use eventsourcing::ids::{Epoch, Offset, OwnerId};
use eventsourcing::rule::{Rule, Term};
use eventsourcing::topic::TopicPartition;
use sqlx::PgPool;
use uuid::Uuid;

use crate::deadline::{lend, within};

/// How long the server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Checkpoints in the table `daybook.process_checkpoints`.
#[derive(Clone)]
pub struct PostgresCheckpoints(pub PgPool);

#[async_trait]
impl ProcessCheckpoints for PostgresCheckpoints {
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError> {
        let asking = sqlx::query_as(
            "SELECT next, epoch, owner FROM daybook.process_checkpoints
             WHERE process = $1 AND topic = $2 AND partition = $3",
        )
        .bind(process)
        .bind(at.topic.as_str())
        .bind(at.partition.cast_signed());
        let mut lent = lend(&self.0).await.map_err(unavailable)?;
        let row = within(ANSWER_TIMEOUT, asking.fetch_optional(&mut *lent));
        let row: Option<(i64, i64, Option<Uuid>)> = row.await.map_err(unavailable)?;
        lent.give_back();
        let Some((next, epoch, owner)) = row else {
            return Ok(Checkpoint::default());
        };
        let term = |owner| Term {
            epoch: Epoch(epoch.cast_unsigned()),
            owner: OwnerId(owner),
        };
        Ok(Checkpoint {
            next: Offset(next.cast_unsigned()),
            rule: Rule::resumed(owner.map(term)),
        })
    }

    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let storing = sqlx::query(
            "INSERT INTO daybook.process_checkpoints AS c (process, topic, partition, next, epoch, owner)
             SELECT $1, $2, $3, $5, $6, $7
             WHERE $4 = 0 OR EXISTS (SELECT 1 FROM daybook.process_checkpoints
                                     WHERE process = $1 AND topic = $2 AND partition = $3)
             ON CONFLICT (process, topic, partition) DO UPDATE
             SET next = EXCLUDED.next, epoch = EXCLUDED.epoch, owner = EXCLUDED.owner WHERE c.next = $4",
        )
        .bind(process)
        .bind(at.topic.as_str())
        .bind(at.partition.cast_signed())
        .bind(from.next.0.cast_signed())
        .bind(to.next.0.cast_signed())
        .bind(to.rule.epoch().0.cast_signed())
        .bind(to.rule.current().map(|term| term.owner.0));
        let mut lent = lend(&self.0).await.map_err(unavailable)?;
        let stored = within(ANSWER_TIMEOUT, storing.execute(&mut *lent));
        let stored = stored.await.map_err(unavailable)?;
        lent.give_back();
        if stored.rows_affected() == 1 {
            Ok(())
        } else {
            Err(CheckpointError::Overtaken)
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn unavailable(error: sqlx::Error) -> CheckpointError {
    CheckpointError::Unavailable(error.to_string())
}
