//! Every way in which parked events are left as they are, as a problem.

use std::time::Duration;

use axum::http::StatusCode;
use eventsourcing::log::LogError;
use eventsourcing_postgres::projection::ProjectionError;
use eventsourcing_postgres::rebuild::RebuildError;
use http_kit::problem::Problem;

use crate::parked::Refused;

const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Unknown(_) => Self::not_found("projection_not_found").detail(detail),
            Refused::NoPlace(_) => invalid("/at", detail),
            Refused::NoReason => invalid("/reason", detail),
            Refused::OtherTopic { .. } => invalid("/at", detail),
            Refused::OwnersDecide(_) => conflict("owners_decide", detail),
            Refused::Generation(error) if error.downcast_ref::<sqlx::Error>().is_some() => away(&detail),
            Refused::Generation(_) => conflict("generation_outlived", detail),
            Refused::Failed(_, error) => failed(&error, detail),
        }
    }
}

fn failed(error: &RebuildError, detail: String) -> Problem {
    match error {
        RebuildError::NothingParked { .. } | RebuildError::NoLiveVersion(_) => {
            Problem::not_found("nothing_parked").detail(detail)
        }
        RebuildError::NotFirst { .. } => conflict("not_first_parked", detail),
        RebuildError::Gone { .. } => conflict("record_gone", detail),
        RebuildError::Running(_) => conflict("rebuild_running", detail).retryable(),
        RebuildError::Projection(ProjectionError::Replaced { .. }) => conflict("generation_outlived", detail),
        RebuildError::Projection(
            ProjectionError::Database(_)
            | ProjectionError::Log(LogError::Unavailable(_))
            | ProjectionError::Overtaken(_)
            | ProjectionError::Switched(_),
        ) => away(&detail),
        other if other.is_other_fold() => conflict("other_fold", detail),
        _ => {
            tracing::error!(error = detail, "parked events stay as they are");
            Problem::internal()
        }
    }
}

fn conflict(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, "Parked events stay as they are").detail(detail)
}

fn invalid(pointer: &str, detail: String) -> Problem {
    let title = "A value is not what it must be";
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", title);
    problem.at(pointer).detail(detail)
}

/// What it was is for the log, not for the answer.
fn away(reason: &str) -> Problem {
    tracing::warn!(reason, "parked events stay as they are for now");
    let title = "The database or the log is away";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "read_models_unavailable", title).retry_after(RETRY_AFTER)
}
