//! The table of states, as a new owner reads it; the projection [`States`] writes it.

use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::ids::AggregateId;
use eventsourcing::projection::Row;
use eventsourcing::state_table::{Kept, StateTable, StateTableError, Version};
use eventsourcing::states::{KeptState, StateRow, States};
use eventsourcing::topic::TopicPartition;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::deadline::{lend, within};
use crate::projection::{Projection, from_row, load_sql, schema};

/// How long the server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// PostgreSQL's code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// See the module. Reads the primary: a replica may lag behind a checkpoint it was told of.
pub struct PostgresStates<A> {
    pool: PgPool,
    fingerprint: String,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate<State: KeptState>> PostgresStates<A> {
    /// The table in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            fingerprint: Projection::view::<States<A>>().fingerprint(),
            aggregate: PhantomData,
        }
    }
}

#[async_trait]
impl<A: Aggregate<State: KeptState>> StateTable<A> for PostgresStates<A> {
    async fn open(&self, at: &TopicPartition) -> Result<Option<(Version, Checkpoint)>, StateTableError> {
        type Opened = (i32, String, i64, i64, Option<Uuid>, bool);
        let name = A::State::NAME;
        let asking = sqlx::query_as(
            r#"SELECT p.version, f.fingerprint, c."offset", c.epoch, c.owner,
                      EXISTS (SELECT 1 FROM daybook.parked_events e WHERE e.projection = p.name AND e.version = p.version)
               FROM daybook.projections p
               JOIN daybook.projection_folds f USING (name, version)
               JOIN daybook.checkpoints c ON c.projection = p.name AND c.version = p.version
               WHERE p.name = $1 AND p.status = 'active' AND c.topic = $2 AND c.partition = $3"#,
        )
        .bind(name)
        .bind(at.topic.as_str())
        .bind(at.partition.cast_signed());
        let mut lent = lend(&self.pool).await.map_err(state_table_error)?;
        let opened = within(ANSWER_TIMEOUT, asking.fetch_optional(&mut *lent));
        let opened: Option<Opened> = opened.await.map_err(state_table_error)?;
        lent.give_back();
        let Some((version, fingerprint, last, epoch, owner, parked)) = opened else {
            return Ok(None);
        };
        if fingerprint != self.fingerprint {
            tracing::warn!(
                table = name,
                version,
                "kept in another form: `daybook rebuild {name}` makes it anew"
            );
            return Ok(None);
        }
        // The checkpoint goes on past a parked event, the state does not.
        if parked {
            tracing::warn!(
                table = name,
                version,
                "not used: events are parked, see `daybook parked list`"
            );
            return Ok(None);
        }
        Ok(Some((Version(version), from_row(last, epoch, owner))))
    }

    async fn load(
        &self,
        version: Version,
        ids: &[AggregateId],
    ) -> Result<Vec<(AggregateId, Kept<A>)>, StateTableError> {
        let sql = load_sql(&schema(A::State::NAME, version.0), &StateRow::<A::State>::TABLE);
        let keys: Vec<&str> = ids.iter().map(AggregateId::as_str).collect();
        let asking = sqlx::query_as(AssertSqlSafe(sql)).bind(keys);
        let mut lent = lend(&self.pool).await.map_err(state_table_error)?;
        let rows = within(ANSWER_TIMEOUT, asking.fetch_all(&mut *lent));
        let rows: Vec<(String, Json<StateRow<A::State>>)> = rows.await.map_err(state_table_error)?;
        lent.give_back();
        let kept = |(_, Json(row)): (String, Json<StateRow<A::State>>)| {
            let StateRow {
                id,
                commands: memory,
                state,
                sequence: _,
                offset: _,
            } = row;
            (id, Kept { state, memory })
        };
        Ok(rows.into_iter().map(kept).collect())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn state_table_error(error: sqlx::Error) -> StateTableError {
    let dropped = error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(UNDEFINED_TABLE));
    let unreadable = matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_));
    if dropped || unreadable {
        StateTableError::Unusable(error.to_string())
    } else {
        StateTableError::Unavailable(error.to_string())
    }
}
