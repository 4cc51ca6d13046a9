//! Versions: which one is active, and the first one.

use sqlx::PgConnection;

use super::{Projection, create_indexes, create_table, point_view, schema};

/// The active version, its row locked against a switch until the transaction ends.
pub(crate) async fn active_version(
    connection: &mut PgConnection,
    projection: &str,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT version FROM daybook.projections WHERE name = $1 AND status = 'active' FOR SHARE",
    )
    .bind(projection)
    .fetch_optional(connection)
    .await
}

/// The active version; the first one is made when there is none.
pub(crate) async fn ensure_active(
    connection: &mut PgConnection,
    projection: &Projection,
) -> Result<i32, sqlx::Error> {
    // Two projectors that start at once must not both make it.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("daybook.projection.{}", projection.name))
        .execute(&mut *connection)
        .await?;
    if let Some(version) = active_version(&mut *connection, projection.name).await? {
        return Ok(version);
    }
    let version: i32 = sqlx::query_scalar(
        "INSERT INTO daybook.projections (name, version, status)
         SELECT $1, coalesce(max(version), 0) + 1, 'active' FROM daybook.projections WHERE name = $1
         RETURNING version",
    )
    .bind(projection.name)
    .fetch_one(&mut *connection)
    .await?;
    let schema = schema(projection.name, version);
    create_table(&mut *connection, &schema, &projection.table).await?;
    create_indexes(&mut *connection, &schema, &projection.table).await?;
    point_view(&mut *connection, &schema, &projection.table).await?;
    Ok(version)
}
