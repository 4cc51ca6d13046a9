//! A log that has moved elsewhere. It is sealed by the database itself: a check on the table of records refuses
//! every further record of its topics, whoever sends it and however old the program is. So a sealed log has one
//! last offset for good, and whatever was acknowledged lies below it.

use std::time::Duration;

use eventsourcing::log::LogError;
use eventsourcing::topic::Topic;
use sqlx::{Connection, PgConnection, PgPool};
use time::OffsetDateTime;

use super::unavailable;
use crate::deadline::{is_lock, lend, within};

/// How long the seal waits for those who write or read just now, each time it tries.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// Then it lets them go on and tries again.
const TRIES_MAX: u32 = 60;
const PAUSE: Duration = Duration::from_millis(200);

/// How long the server may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Held while a log is copied: two copies at once would be in each other's way. Let go when it is dropped.
pub struct CopyLock {
    _session: PgConnection,
}

impl CopyLock {
    /// Takes the lock of the topics under `prefix`; `None` when another copy has it.
    pub async fn take(pool: &PgPool, prefix: &str) -> Result<Option<Self>, LogError> {
        let options = pool.connect_options();
        let connecting = within(ANSWER_TIMEOUT, PgConnection::connect_with(&options));
        let mut session = connecting.await.map_err(unavailable)?;
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 3))")
            .bind(format!("daybook.copy.{prefix}"))
            .fetch_one(&mut session)
            .await
            .map_err(unavailable)?;
        Ok(taken.then_some(Self { _session: session }))
    }
}

/// Where the log of some topics is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Here.
    Here {
        /// Whether there is any record.
        used: bool,
    },
    /// Nothing more is taken in here, and the copy there is not yet complete.
    Sealed {
        /// Where it is on its way to.
        to: String,
        /// Since when.
        since: OffsetDateTime,
    },
    /// There, completely.
    Moved {
        /// Where.
        to: String,
        /// Since when nothing was taken in here.
        since: OffsetDateTime,
    },
}

/// Looks where the log of `topics` is.
pub async fn home(pool: &PgPool, topics: &[Topic]) -> Result<Home, LogError> {
    let mut lent = lend(pool).await.map_err(unavailable)?;
    let home = within(ANSWER_TIMEOUT, look(&mut lent, topics)).await;
    let home = home.map_err(unavailable)?;
    lent.give_back();
    Ok(home)
}

async fn look(connection: &mut PgConnection, topics: &[Topic]) -> Result<Home, sqlx::Error> {
    let names: Vec<&str> = topics.iter().map(Topic::as_str).collect();
    let rows: Vec<(String, OffsetDateTime, bool)> = sqlx::query_as(
        "SELECT m.moved_to, m.sealed_at, m.complete
         FROM daybook_log.moves m JOIN daybook_log.topics t ON t.id = m.topic
         WHERE t.name = ANY ($1)",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    let Some((to, since, _)) = rows.first().cloned() else {
        let used = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM daybook_log.topics t
                            WHERE t.name = ANY ($1)
                              AND EXISTS (SELECT FROM daybook_log.records r WHERE r.topic = t.id))",
        )
        .bind(&names)
        .fetch_one(&mut *connection)
        .await?;
        return Ok(Home::Here { used });
    };
    if rows.iter().all(|(_, _, complete)| *complete) {
        Ok(Home::Moved { to, since })
    } else {
        Ok(Home::Sealed { to, since })
    }
}

/// Seals the log of `topics`, all at once: when this returns, nothing more can be appended to them here. Safe to
/// repeat.
pub async fn seal(pool: &PgPool, topics: &[Topic], to: &str) -> Result<(), LogError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options())
        .await
        .map_err(unavailable)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match try_seal(&mut connection, topics, to).await {
            Ok(()) => return connection.close().await.map_err(unavailable),
            Err(error) if tries < TRIES_MAX && is_lock(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(unavailable(error)),
        }
    }
}

async fn try_seal(connection: &mut PgConnection, topics: &[Topic], to: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let limit = format!("{}ms", LOCK_TIMEOUT.as_millis());
    sqlx::query("SELECT set_config('lock_timeout', $1, true)")
        .bind(limit)
        .execute(&mut *transaction)
        .await?;
    for topic in topics {
        let id: Option<i32> = sqlx::query_scalar("SELECT id FROM daybook_log.topics WHERE name = $1")
            .bind(topic.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        // A topic that is not there has no records, and nobody can append to it.
        let Some(id) = id else { continue };
        let sealed = sqlx::query(
            "INSERT INTO daybook_log.moves (topic, moved_to) VALUES ($1, $2) ON CONFLICT (topic) DO NOTHING",
        )
        .bind(id)
        .bind(to)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if sealed == 1 {
            // Not valid: what is there stays; only what is new is checked.
            let check = format!(
                "ALTER TABLE daybook_log.records ADD CONSTRAINT moved_topic_{id} CHECK (topic <> {id}) NOT VALID"
            );
            sqlx::query(sqlx::AssertSqlSafe(check))
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await
}

/// Says that the copy of these sealed topics is complete: from now on the log is there.
pub async fn complete(pool: &PgPool, topics: &[Topic]) -> Result<(), LogError> {
    let names: Vec<&str> = topics.iter().map(Topic::as_str).collect();
    sqlx::query(
        "UPDATE daybook_log.moves m SET complete = TRUE
         FROM daybook_log.topics t WHERE t.id = m.topic AND t.name = ANY ($1)",
    )
    .bind(names)
    .execute(pool)
    .await
    .map_err(unavailable)?;
    Ok(())
}
