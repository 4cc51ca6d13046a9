//! The tables this crate keeps, made when they are missing.

use sqlx::{Executor, PgPool};

/// Serialises the migrations of roles that start at once. Any number will do; it must not change.
const LOCK: i64 = 0x6461_7962_6f6f_6b01;

const TABLES: &str = include_str!("migrate.sql");

/// Creates what is missing. Safe to call from several processes at once.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    transaction.execute(TABLES).await?;
    transaction.commit().await
}
