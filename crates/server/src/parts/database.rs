//! Where PostgreSQL is, and the tables in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded::EmbeddedError;
use embedded::postgres::{Options, Postgres};
use sqlx::{Connection, PgConnection, PgPool};

use crate::config::Config;

/// The database inside a local server.
const DATABASE: &str = "daybook";
/// How long a start waits for a database that is away.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(250);

/// The configured URL, or the one of a local server that is started, adopted or shared.
pub(super) async fn locate(config: &Config) -> anyhow::Result<(String, Option<Postgres>)> {
    if !config.postgres.url.is_empty() {
        return Ok((config.postgres.url.clone(), None));
    }
    let data = PathBuf::from(&config.data);
    let started = tokio::task::spawn_blocking(move || start_or_share(&data)).await?;
    let (url, server) = started.context("local PostgreSQL (set DATABASE_URL to use one of your own)")?;
    if let Some(server) = &server {
        create_database(&server.url("postgres")).await?;
    }
    Ok((url, server))
}

fn start_or_share(data: &Path) -> Result<(String, Option<Postgres>), EmbeddedError> {
    let mut options = Options::new(data);
    options
        .settings
        .push(("max_connections".to_owned(), "200".to_owned()));
    match Postgres::start(&options, |line| tracing::info!("{line}")) {
        Ok(server) => Ok((server.url(DATABASE), Some(server))),
        // Another Daybook process holds the directory: its server is ours to use.
        Err(EmbeddedError::InUse(held)) => match Postgres::attach(data)? {
            Some(url) => Ok((url, None)),
            None => Err(EmbeddedError::InUse(held)),
        },
        Err(error) => Err(error),
    }
}

async fn create_database(admin_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(admin_url)
        .await
        .context("connecting to the local PostgreSQL")?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
    if !there {
        sqlx::query("CREATE DATABASE daybook")
            .execute(&mut connection)
            .await?;
    }
    Ok(connection.close().await?)
}

/// Creates the tables that are missing; waits for a database that is just starting.
pub(super) async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let error = match eventsourcing_postgres::migrate::migrate(pool).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let away = matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)
            || error
                .as_database_error()
                .is_some_and(|error| error.code().as_deref() == Some("57P03"));
        if !away || started.elapsed() > START_PATIENCE {
            return Err(anyhow::Error::from(error).context("creating the tables"));
        }
        tracing::warn!(%error, "waiting for PostgreSQL");
        tokio::time::sleep(START_PAUSE).await;
    }
}
