//! Events that an operator left out of a projection for ever: no version folds them, live or in a rebuild.

use std::borrow::Cow;
use std::collections::HashSet;

use eventsourcing::readers::Event;
use eventsourcing::topic::Topic;
use sqlx::PgConnection;

/// Their partitions and offsets.
#[derive(Default)]
pub(crate) struct Skipped(HashSet<(i32, i64)>);

fn place(event: &Event) -> (i32, i64) {
    let stored = &event.stored;
    (stored.at.partition.cast_signed(), stored.offset.0.cast_signed())
}

impl Skipped {
    /// Whether this one is left out.
    pub(crate) fn contains(&self, event: &Event) -> bool {
        self.0.contains(&place(event))
    }

    /// What remains of these.
    pub(crate) fn leave_out<'a>(&self, events: &'a [Event]) -> Cow<'a, [Event]> {
        if events.iter().any(|event| self.contains(event)) {
            let remaining = events.iter().filter(|event| !self.contains(event));
            Cow::Owned(remaining.cloned().collect())
        } else {
            Cow::Borrowed(events)
        }
    }
}

/// Those among these events.
pub(crate) async fn among(
    connection: &mut PgConnection,
    projection: &str,
    topic: &Topic,
    events: &[Event],
) -> Result<Skipped, sqlx::Error> {
    let offsets = || events.iter().map(|event| place(event).1);
    let (Some(first), Some(last)) = (offsets().min(), offsets().max()) else {
        return Ok(Skipped::default());
    };
    within(connection, projection, topic, (first, last)).await
}

/// All of a projection's. They change only under the lock that a rebuild holds, too.
pub(crate) async fn of_projection(
    connection: &mut PgConnection,
    projection: &str,
    topic: &Topic,
) -> Result<Skipped, sqlx::Error> {
    within(connection, projection, topic, (0, i64::MAX)).await
}

async fn within(
    connection: &mut PgConnection,
    projection: &str,
    topic: &Topic,
    (first, last): (i64, i64),
) -> Result<Skipped, sqlx::Error> {
    let places: Vec<(i32, i64)> = sqlx::query_as(
        r#"SELECT partition, "offset" FROM daybook.skipped_events
           WHERE projection = $1 AND topic = $2 AND "offset" BETWEEN $3 AND $4"#,
    )
    .bind(projection)
    .bind(topic.as_str())
    .bind(first)
    .bind(last)
    .fetch_all(connection)
    .await?;
    Ok(Skipped(places.into_iter().collect()))
}
