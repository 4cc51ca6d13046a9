//! Deadlines: a server that is frozen, or gone without a word, closes no socket, so nothing that waits
//! for it would ever end by itself.

use std::io::{Error, ErrorKind};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};

/// How long a watched piece of work goes on without a sign of life from the server.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Between two questions whether the server lives.
const PULSE_INTERVAL: Duration = Duration::from_secs(5);

/// What `work` comes to, or a time-out as an I/O error, which is what it is. The connection of work
/// that was cut off must be dropped, not reused: its answers may still arrive.
pub(crate) async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(late(limit).into()),
    }
}

/// A lock was not to be had in time, or a deadlock was resolved against us: the same again may succeed.
pub(crate) fn is_lock(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(&*code, "55P03" | "40P01"))
}

/// A connection lent by a pool. Unless it is given back it is closed without a word: work that was cut
/// off leaves an answer to come, and a pool that asks a frozen server for it never has its place back.
pub(crate) struct Lent(Option<PoolConnection<Postgres>>);

/// A connection of `pool`; the wait for it is the pool's to bound.
pub(crate) async fn lend(pool: &PgPool) -> Result<Lent, sqlx::Error> {
    Ok(Lent(Some(pool.acquire().await?)))
}

impl Lent {
    /// Its work is done.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("taken only at the end of its life")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("taken only at the end of its life")
    }
}

/// What `work` comes to, however long it takes, as long as the server answers others: for statements
/// that may rightly take minutes.
pub(crate) async fn while_alive<T, E: From<sqlx::Error>>(
    pool: &PgPool,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        outcome = work => outcome,
        () = silence(pool) => Err(late(SILENCE_MAX).into()),
    }
}

/// Ends when the server has not answered for [`SILENCE_MAX`].
async fn silence(pool: &PgPool) {
    loop {
        tokio::time::sleep(PULSE_INTERVAL).await;
        // A connection of its own each time: a pool that is busy says nothing about the server.
        let pulse = async {
            let options = pool.connect_options();
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::query("SELECT 1").execute(&mut connection).await
        };
        match tokio::time::timeout(SILENCE_MAX, pulse).await {
            Ok(Ok(_)) => {}
            // It answers, if only to refuse: the work will see for itself.
            Ok(Err(error)) => tracing::debug!(%error, "no pulse"),
            Err(_) => return,
        }
    }
}

fn late(limit: Duration) -> sqlx::Error {
    let text = format!("no answer within {} s", limit.as_secs_f64());
    sqlx::Error::Io(Error::new(ErrorKind::TimedOut, text))
}
