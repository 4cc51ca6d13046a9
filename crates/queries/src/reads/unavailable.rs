//! What a client is told when a read cannot be made.

use std::time::Duration;

use axum::http::StatusCode;
use eventsourcing::position::Positions;
use http_kit::position::{self, DAYBOOK_POSITION};
use http_kit::problem::Problem;

use super::model::ReadModel;

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// 503 `read_models_unavailable`: the database is away, too slow, or not set up yet.
pub(super) fn read_models() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "read_models_unavailable",
        "The read models cannot be read at the moment",
    )
    .retry_after(RETRY_AFTER)
}

/// 503 `position_not_reached`, with the position there is.
pub(super) fn behind(shown: &Positions, asked: &Positions, model: ReadModel) -> Problem {
    let mut problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "position_not_reached",
        "The read model has not come as far as asked",
    )
    .retry_after(RETRY_AFTER);
    if shown.is_empty() {
        return problem;
    }
    let service = model.service();
    if let (Some(known), Some(asked)) = (shown.generation(service), asked.generation(service))
        && known < asked
    {
        problem = problem.detail(format!(
            "The position is of generation {asked} of {service}, the read model knows none after {known}"
        ));
    }
    problem.header(DAYBOOK_POSITION, position::header(&shown.newest_generations()))
}

/// A sum that no answer can carry.
#[derive(Debug)]
pub(crate) struct SumTooLarge(pub(crate) String);

impl std::fmt::Display for SumTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, more than a 64-bit number holds", self.0)
    }
}

impl std::error::Error for SumTooLarge {}

/// 500 `sum_too_large`: the read model knows it, the answer's format does not.
fn too_large(sum: &SumTooLarge) -> Problem {
    tracing::error!(%sum, "a sum cannot be shown");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "sum_too_large",
        "A sum is larger than an answer can carry",
    )
    .detail(sum.to_string())
}

/// The problem for an error of the database; what it was goes to the log, not to the client.
pub(super) fn of(error: &sqlx::Error) -> Problem {
    if let sqlx::Error::Decode(source) = error
        && let Some(sum) = source.downcast_ref::<SumTooLarge>()
    {
        return too_large(sum);
    }
    if is_defect(error) {
        tracing::error!(%error, "a read model does not have the shape this build expects");
        return Problem::internal();
    }
    tracing::warn!(%error, "cannot read the read models");
    read_models()
}

/// Whether trying again is of no use: we ask for, or decode, what is not there.
fn is_defect(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    match error {
        E::ColumnNotFound(_) | E::ColumnIndexOutOfBounds { .. } | E::ColumnDecode { .. } | E::Decode(_) => {
            true
        }
        // Class 42 is our SQL; but a missing relation or schema is a database not set up yet.
        E::Database(error) => match error.code().as_deref() {
            Some("42P01" | "3F000") | None => false,
            Some(code) => code.starts_with("42"),
        },
        _ => false,
    }
}

/// Whether the connection, not the statement, is at fault: then another one may do.
pub(super) fn is_connection(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    match error {
        E::Io(_) | E::Protocol(_) | E::WorkerCrashed => true,
        // The server is stopping or starting (57P0x), or it resolved a deadlock with a switch of
        // versions (40P01) against us.
        E::Database(error) => matches!(
            error.code().as_deref(),
            Some("57P01" | "57P02" | "57P03" | "40P01")
        ),
        _ => false,
    }
}
