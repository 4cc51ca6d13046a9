//! The tables this crate keeps, made when they are missing.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::deadline::{lend, within};

/// Serialises the migrations of roles that start at once. Any number will do; it must not change.
const LOCK: i64 = 0x6461_7962_6f6f_6b01;

const TABLES: &str = include_str!("migrate.sql");

/// How long the server may take for all of it, the wait for another role's migration included.
const LIMIT: Duration = Duration::from_secs(30);

/// Creates what is missing. Safe to call from several processes at once.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut lent = lend(pool).await?;
    within(LIMIT, create_tables(&mut lent)).await?;
    lent.give_back();
    Ok(())
}

async fn create_tables(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    transaction.execute(TABLES).await?;
    transaction.commit().await
}
