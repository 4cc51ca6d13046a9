//! Where PostgreSQL is, and the tables in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use embedded::EmbeddedError;
use embedded::postgres::{Options, Postgres};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};

use crate::config::Config;

/// The database inside a local server.
const DATABASE: &str = "daybook";
/// How long a start waits for a database that is away.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long the last try may take, which is only to learn the reason.
const REASON_TIMEOUT: Duration = Duration::from_secs(3);
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
        let place = place(&pool.connect_options());
        if !away {
            return Err(
                anyhow::Error::from(error).context(format!("creating the tables in PostgreSQL {place}"))
            );
        }
        if started.elapsed() > START_PATIENCE {
            let reason = reason(pool, error).await;
            return Err(anyhow!(
                "PostgreSQL {place} does not answer: {reason}; start it, or set DATABASE_URL to where it is"
            ));
        }
        tracing::warn!(%error, "waiting for PostgreSQL {place}");
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// Where the database is, without the password.
fn place(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("at {host}:{port} (database {database})")
}

/// What a connection of one's own says, when the pool says only that it has none.
async fn reason(pool: &PgPool, error: sqlx::Error) -> String {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error.to_string();
    }
    let options = pool.connect_options();
    let connecting = PgConnection::connect_with(&options);
    match tokio::time::timeout(REASON_TIMEOUT, connecting).await {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(_)) => format!("{error}: it has no connection to spare"),
        Err(_) => "it takes no connection and refuses none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sqlx::postgres::PgPoolOptions;

    use super::*;

    #[tokio::test]
    async fn a_database_that_is_away_is_named_with_the_reason_and_without_the_password() {
        // Taken and let go: nobody listens there.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let url = format!("postgres://shop:geheim@127.0.0.1:{port}/till");
        let pool = PgPoolOptions::new().connect_lazy(&url).expect("a URL");
        let place = place(&pool.connect_options());
        assert_eq!(place, format!("at 127.0.0.1:{port} (database till)"));
        let reason = reason(&pool, sqlx::Error::PoolTimedOut).await;
        assert!(reason.contains("refused"), "{reason}");
        assert!(!reason.contains("geheim"), "{reason}");
    }
}
