//! Checkpoints: where a version of a projection stands, and the term that is open there.

use std::collections::BTreeMap;

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::ids::{Epoch, Offset, OwnerId};
use eventsourcing::readers::Move;
use eventsourcing::rule::{Rule, Term};
use eventsourcing::topic::Topic;
use sqlx::PgConnection;
use uuid::Uuid;

/// The last applied offset, -1 before the first.
const fn last(checkpoint: &Checkpoint) -> i64 {
    checkpoint.next.0.cast_signed() - 1
}

/// Of a partition's row.
pub(crate) fn from_row(last: i64, epoch: i64, owner: Option<Uuid>) -> Checkpoint {
    let term = |owner| Term {
        epoch: Epoch(epoch.cast_unsigned()),
        owner: OwnerId(owner),
    };
    Checkpoint {
        next: Offset((last + 1).cast_unsigned()),
        rule: Rule::resumed(owner.map(term)),
    }
}

/// All partitions of the topic, made when they are missing.
pub(crate) async fn load(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
    topic: &Topic,
    partitions: u32,
) -> Result<BTreeMap<u32, Checkpoint>, sqlx::Error> {
    sqlx::query(
        r#"INSERT INTO daybook.checkpoints (projection, version, topic, partition, "offset", epoch)
           SELECT $1, $2, $3, n, -1, 0 FROM generate_series(0, $4 - 1) AS n ON CONFLICT DO NOTHING"#,
    )
    .bind(projection)
    .bind(version)
    .bind(topic.as_str())
    .bind(partitions.cast_signed())
    .execute(&mut *connection)
    .await?;
    read(connection, projection, version, topic).await
}

/// Those that were made, without writing: what a snapshot may do. An insert there fails by a conflict with what it cannot
/// see, even with `DO NOTHING`.
pub(crate) async fn read(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
    topic: &Topic,
) -> Result<BTreeMap<u32, Checkpoint>, sqlx::Error> {
    let rows: Vec<(i32, i64, i64, Option<Uuid>)> = sqlx::query_as(
        r#"SELECT partition, "offset", epoch, owner FROM daybook.checkpoints
           WHERE projection = $1 AND version = $2 AND topic = $3"#,
    )
    .bind(projection)
    .bind(version)
    .bind(topic.as_str())
    .fetch_all(connection)
    .await?;
    let entry = |(partition, last, epoch, owner): (i32, i64, i64, Option<Uuid>)| {
        (partition.cast_unsigned(), from_row(last, epoch, owner))
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// The statement that moves checkpoints of the version `$version`, after `$before`; a macro, for `concat!` takes no constants.
macro_rules! advance {
    ($before:literal, $version:literal) => {
        concat!(
            $before,
            r#"UPDATE daybook.checkpoints c SET "offset" = m.after, epoch = m.epoch, owner = m.owner
               FROM UNNEST($4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::uuid[])
                   AS m (partition, before, after, epoch, owner)
               WHERE c.projection = $1 AND c.topic = $3 AND c.partition = m.partition AND c."offset" = m.before
                 AND c.version = "#,
            $version
        )
    };
}

/// Moves the partitions that changed of a projection's version, each by compare-and-set; false when somebody was faster.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    of: (&str, i32, &Topic),
    moves: &[Move],
) -> Result<bool, sqlx::Error> {
    step(connection, advance!("", "$2"), of, moves).await
}

/// The same, only while the version is the active one; its row is locked first, against a switch, until the transaction
/// ends.
pub(super) async fn advance_active(
    connection: &mut PgConnection,
    of: (&str, i32, &Topic),
    moves: &[Move],
) -> Result<bool, sqlx::Error> {
    let sql = advance!(
        "WITH active AS MATERIALIZED (
             SELECT version FROM daybook.projections
             WHERE name = $1 AND version = $2 AND status = 'active' FOR SHARE) ",
        "(SELECT version FROM active)"
    );
    step(connection, sql, of, moves).await
}

async fn step(
    connection: &mut PgConnection,
    sql: &'static str,
    (projection, version, topic): (&str, i32, &Topic),
    moves: &[Move],
) -> Result<bool, sqlx::Error> {
    let column = |of: fn(&Move) -> i64| moves.iter().map(of).collect::<Vec<_>>();
    let partitions: Vec<i32> = moves.iter().map(|step| step.partition.cast_signed()).collect();
    let owner = |step: &Move| step.to.rule.current().map(|term| term.owner.0);
    let owners: Vec<Option<Uuid>> = moves.iter().map(owner).collect();
    let updated = sqlx::query(sql)
        .bind(projection)
        .bind(version)
        .bind(topic.as_str())
        .bind(partitions)
        .bind(column(|step| last(&step.from)))
        .bind(column(|step| last(&step.to)))
        .bind(column(|step| step.to.rule.epoch().0.cast_signed()))
        .bind(owners)
        .execute(connection)
        .await?;
    Ok(updated.rows_affected() == moves.len() as u64)
}

/// More than PostgreSQL takes in one notification.
const TOLD_BYTES_MAX: usize = 7_999;

/// What readers are told of these moves: the projection and, in one notification's length, its new positions, as in
/// `orders daybook.orders.events/3@1042 daybook.orders.events/0@17`.
pub(super) fn told(projection: &str, topic: &Topic, moves: &[Move]) -> String {
    let position = |step: &Move| format!(" {}@{}", topic.partition(step.partition), last(&step.to));
    let positions: String = moves.iter().map(position).collect();
    if projection.len() + positions.len() > TOLD_BYTES_MAX {
        projection.to_owned()
    } else {
        format!("{projection}{positions}")
    }
}
