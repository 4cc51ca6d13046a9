//! Parked events.

mod list;
mod retry;
mod skip;

use eventsourcing_postgres::rebuild::Redriven;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::parts::Parts;

/// What became of a key.
#[derive(Debug, Serialize, ToSchema)]
struct Outcome {
    /// Which key.
    key: String,
    /// Its events that are in the rows now.
    applied: u64,
    /// The event that it waits at now; none when nothing of it waits.
    left: Option<Left>,
}

/// An event that still cannot be applied.
#[derive(Debug, Serialize, ToSchema)]
struct Left {
    /// Its place, `TOPIC/PARTITION@OFFSET`.
    at: String,
    /// What it fails on.
    error: String,
}

impl Outcome {
    /// Of one key of `projection`; said in the log, too, since it changes what is shown.
    fn of(projection: &str, redriven: Redriven) -> Self {
        let Redriven { key, applied, left } = redriven;
        let left = left.map(|left| Left {
            at: left.at,
            error: left.error,
        });
        let waits_at = left.as_ref().map(|left| left.at.as_str());
        tracing::info!(projection, key, applied, waits_at, "parked events folded again");
        Self { key, applied, left }
    }
}

pub(super) fn router() -> OpenApiRouter<Parts> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(retry::retry))
        .routes(routes!(skip::skip))
}
