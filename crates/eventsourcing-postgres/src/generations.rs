//! The generations of a shop's topics, each with a number of partitions of its own: which one is live, which one is
//! being made, and the switch from one to the next.

mod stands;
mod switch;

use std::time::Duration;

use eventsourcing::log::LogError;
use eventsourcing::topic::{FIRST_GENERATION, Topic, of_generation};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres};

use crate::deadline::{lend, within};
use crate::log::unavailable;
pub use stands::{Behind, Moved, Worked, behind, worked};
pub use switch::{SwitchError, preflight, switch};

/// How long the server may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// One generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number; the first is 1.
    pub number: u32,
    /// Partitions of each of its topics; `None` of the first, which nobody noted.
    pub partitions: Option<u32>,
}

/// The generation that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its number.
    pub number: u32,
    /// Partitions of each of its topics.
    pub partitions: u32,
    /// Whether the topics before it are sealed.
    pub sealed: bool,
}

/// What is known of a shop's generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generations {
    /// The one that takes commands.
    pub live: Generation,
    /// The one that is being made.
    pub next: Option<Next>,
}

impl Generations {
    /// The configuration that names the live one.
    #[must_use]
    pub fn keys(&self) -> String {
        let Generation { number, partitions } = self.live;
        match partitions {
            Some(partitions) => format!("topics.generation={number} and topics.partitions={partitions}"),
            None => format!("topics.generation={number}"),
        }
    }
}

/// Looks what is known of the topics under `prefix`.
pub async fn look(pool: &PgPool, prefix: &str) -> Result<Generations, LogError> {
    let mut lent = lend(pool).await.map_err(unavailable)?;
    let asking = sqlx::query_as(
        "SELECT generation, partitions, sealed_at IS NOT NULL, live_at IS NOT NULL
         FROM daybook.generations WHERE prefix = $1 ORDER BY generation",
    )
    .bind(prefix);
    let rows: Result<Vec<(i32, i32, bool, bool)>, _> =
        within(ANSWER_TIMEOUT, asking.fetch_all(&mut *lent)).await;
    let rows = rows.map_err(unavailable)?;
    lent.give_back();
    let mut known = Generations {
        live: Generation {
            number: FIRST_GENERATION,
            partitions: None,
        },
        next: None,
    };
    for (number, partitions, sealed, live) in rows {
        let (number, partitions) = (number.cast_unsigned(), partitions.cast_unsigned());
        if live {
            known.live = Generation {
                number,
                partitions: Some(partitions),
            };
        } else {
            known.next = Some(Next {
                number,
                partitions,
                sealed,
            });
        }
    }
    Ok(known)
}

/// Notes that generation `number` is being made with so many partitions. One that was begun stays as it is.
pub async fn begin(pool: &PgPool, prefix: &str, number: u32, partitions: u32) -> Result<(), LogError> {
    let noting = sqlx::query(
        "INSERT INTO daybook.generations (prefix, generation, partitions) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(prefix)
    .bind(number.cast_signed())
    .bind(partitions.cast_signed());
    note(pool, noting).await
}

/// Notes that the topics before generation `number` are sealed: nodes learn it from here, when no command tells them.
pub async fn sealed(pool: &PgPool, prefix: &str, number: u32) -> Result<(), LogError> {
    let noting = sqlx::query(
        "UPDATE daybook.generations SET sealed_at = coalesce(sealed_at, now()) WHERE prefix = $1 AND generation = $2",
    )
    .bind(prefix)
    .bind(number.cast_signed());
    note(pool, noting).await
}

async fn note(pool: &PgPool, noting: Query<'_, Postgres, PgArguments>) -> Result<(), LogError> {
    let mut lent = lend(pool).await.map_err(unavailable)?;
    within(ANSWER_TIMEOUT, noting.execute(&mut *lent))
        .await
        .map_err(unavailable)?;
    lent.give_back();
    Ok(())
}

/// The generation that replaced the topic's, when one has. Ask it last in a transaction that holds the projection's
/// lock, which the switch takes: then it stays true until the end.
pub(crate) async fn replaced(
    connection: &mut PgConnection,
    topic: &Topic,
) -> Result<Option<i32>, sqlx::Error> {
    let (_, number) = of_generation(topic.service());
    sqlx::query_scalar(
        "SELECT max(generation) FROM daybook.generations
         WHERE prefix = $1 AND generation > $2 AND live_at IS NOT NULL",
    )
    .bind(topic.prefix())
    .bind(number.cast_signed())
    .fetch_one(connection)
    .await
}
