//! How far the readers of old topics are.

use std::collections::BTreeMap;

use eventsourcing::ids::Offset;
use eventsourcing::log::LogError;
use eventsourcing::repartition::Checkpoints;
use eventsourcing::topic::Topic;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::ANSWER_TIMEOUT;
use crate::deadline::{lend, within};
use crate::log::unavailable;
use crate::projection::{Projection, active, from_row};

/// One topic that has moved, completely.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The old topic.
    pub from: Topic,
    /// The new one.
    pub to: Topic,
    /// Where the seal of each old partition lies.
    pub seals: BTreeMap<u32, Offset>,
    /// Where whoever has seen all of the old topic goes on.
    pub ends: Checkpoints,
}

/// How far a process has come in an old topic.
#[derive(Clone, Debug)]
pub struct Worked {
    /// The process.
    pub process: String,
    /// How far, by partition; what is not named was not begun.
    pub seen: Checkpoints,
}

/// A read model that has not come to the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The projection.
    pub projection: &'static str,
    /// Records that it has not applied, or looked at.
    pub records: u64,
}

/// The read models that have not come to the seals, the worst first.
pub async fn behind(
    pool: &PgPool,
    read_models: &[Projection],
    moved: &[Moved],
) -> Result<Vec<Behind>, LogError> {
    let mut lent = lend(pool).await.map_err(unavailable)?;
    let mut found = Vec::new();
    let asking = async {
        for projection in read_models {
            let records = missing(&mut lent, projection, moved).await?;
            if let Some(records) = records.filter(|records| *records > 0) {
                found.push(Behind {
                    projection: projection.name(),
                    records,
                });
            }
        }
        Ok(())
    };
    within(ANSWER_TIMEOUT, asking).await.map_err(unavailable)?;
    lent.give_back();
    found.sort_by_key(|behind| std::cmp::Reverse(behind.records));
    Ok(found)
}

/// Records up to the seals; `None` for a projection with no version, which begins with the new topic.
pub(super) async fn missing(
    connection: &mut PgConnection,
    projection: &Projection,
    moved: &[Moved],
) -> Result<Option<u64>, sqlx::Error> {
    let Some(moved) = moved_of(projection, moved) else {
        return Ok(None);
    };
    let stands: Vec<(i32, i64)> = sqlx::query_as(
        r#"SELECT c.partition, c."offset" FROM daybook.checkpoints c
           JOIN daybook.projections p ON p.name = c.projection AND p.version = c.version
           WHERE p.name = $1 AND p.status = 'active' AND c.topic = $2"#,
    )
    .bind(projection.name())
    .bind(moved.from.as_str())
    .fetch_all(&mut *connection)
    .await?;
    if stands.is_empty() && active(&mut *connection, projection.name()).await?.is_none() {
        return Ok(None);
    }
    let stands: BTreeMap<u32, i64> = stands
        .into_iter()
        .map(|(partition, last)| (partition.cast_unsigned(), last))
        .collect();
    let left = moved.seals.iter().map(|(partition, seal)| {
        let last = stands.get(partition).copied().unwrap_or(-1);
        u64::try_from(seal.0.cast_signed() - last).unwrap_or(0)
    });
    Ok(Some(left.sum()))
}

pub(super) fn moved_of<'a>(projection: &Projection, moved: &'a [Moved]) -> Option<&'a Moved> {
    moved
        .iter()
        .find(|moved| moved.from.bare_service() == projection.service)
}

/// How far each process has come in `topic`.
pub async fn worked(pool: &PgPool, topic: &Topic) -> Result<Vec<Worked>, LogError> {
    type Row = (String, i32, i64, i64, Option<Uuid>);
    let asking = sqlx::query_as(
        "SELECT process, partition, next, epoch, owner FROM daybook.process_checkpoints WHERE topic = $1",
    )
    .bind(topic.as_str());
    let mut lent = lend(pool).await.map_err(unavailable)?;
    let rows: Result<Vec<Row>, _> = within(ANSWER_TIMEOUT, asking.fetch_all(&mut *lent)).await;
    let rows = rows.map_err(unavailable)?;
    lent.give_back();
    let mut all: BTreeMap<String, Checkpoints> = BTreeMap::new();
    for (process, partition, next, epoch, owner) in rows {
        let checkpoint = from_row(next - 1, epoch, owner);
        all.entry(process)
            .or_default()
            .insert(partition.cast_unsigned(), checkpoint);
    }
    let worked = |(process, seen)| Worked { process, seen };
    Ok(all.into_iter().map(worked).collect())
}
