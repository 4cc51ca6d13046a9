//! What a client is told who asks for a snapshot that is not there.

use eventsourcing::position::Positions;
use http_kit::position::{self, DAYBOOK_POSITION};
use http_kit::problem::Problem;
use time::OffsetDateTime;

use super::source::{AsOf, Source};
use super::{Reads, unavailable};

/// How many of those that are there are named, the nearest first.
const NAMED_MAX: i64 = 10;
/// PostgreSQL's codes for a view, and for a column of it, that is not there.
const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";

/// 404 `snapshot_not_found`.
fn snapshot(detail: String) -> Problem {
    Problem::not_found("snapshot_not_found").detail(detail)
}

/// Whether the database says that a snapshot, or what this build reads of one, is not there.
pub(super) fn is_absence(error: &sqlx::Error) -> bool {
    is(error, UNDEFINED_TABLE) || is(error, UNDEFINED_COLUMN)
}

fn is(error: &sqlx::Error, code: &str) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some(code))
}

/// The problem for a read of a snapshot that the database refused with `absence`.
pub(super) async fn of(reads: &Reads, source: Source, absence: &sqlx::Error) -> Problem {
    if is(absence, UNDEFINED_COLUMN) {
        return snapshot(format!(
            "The snapshot was made by another build, of other columns; `daybook rebuild {source}` makes it anew."
        ));
    }
    match instants(reads, source).await {
        Err(error) => unavailable::of(&error),
        Ok(there) if there.is_empty() => snapshot(format!(
            "There is no snapshot of {} at all; `daybook rebuild {source}` makes this one.",
            source.model.projection()
        )),
        Ok(there) => snapshot(format!(
            "There is none of this instant; the nearest are {}. `daybook rebuild {source}` makes this one.",
            there.join(", ")
        )),
    }
}

/// The snapshot does not reach the position that is asked for, and never will.
pub(super) fn not_so_far(source: Source, shown: &Positions) -> Problem {
    let problem = snapshot(format!(
        "The snapshot was folded before the position asked for; `daybook rebuild {source}` makes it anew."
    ));
    if shown.is_empty() {
        return problem;
    }
    problem.header(DAYBOOK_POSITION, position::header(&shown.newest_generations()))
}

async fn instants(reads: &Reads, source: Source) -> Result<Vec<String>, sqlx::Error> {
    let Some(AsOf(asked)) = source.as_of else {
        return Ok(Vec::new());
    };
    let asking = sqlx::query_scalar(
        "SELECT as_of FROM read.snapshots WHERE projection = $1 ORDER BY abs(extract(epoch FROM as_of - $2)) LIMIT $3",
    )
    .bind(source.model.projection())
    .bind(asked)
    .bind(NAMED_MAX)
    .fetch_all(&reads.pool);
    let there = tokio::time::timeout(reads.config.query_timeout, asking).await;
    let mut there: Vec<OffsetDateTime> = there.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))?;
    there.sort_unstable();
    Ok(there.into_iter().map(|at| AsOf(at).to_string()).collect())
}
