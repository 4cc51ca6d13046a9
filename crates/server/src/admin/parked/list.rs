//! `GET /admin/v1/parked`

use axum::Json;
use axum::extract::State;
use eventsourcing_postgres::rebuild::ParkedKey;
use http_kit::parameters::{Query, invalid_parameter};
use http_kit::problem::{Document, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::parked;
use crate::parts::Parts;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// What to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Only of this projection.
    projection: Option<String>,
    /// Keys at most: 1 to 200, 50 when not given.
    limit: Option<u32>,
}

/// Keys whose events wait.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Parked {
    /// Those that wait longest first.
    data: Vec<Entry>,
    /// Whether there are more: they show once these are mended.
    has_more: bool,
}

/// A key whose events wait.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// Which projection.
    projection: String,
    /// Which key.
    key: String,
    /// Where its first event lies, `TOPIC/PARTITION@OFFSET`.
    at: String,
    /// What that fails on.
    error: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    parked_at: OffsetDateTime,
    /// Events behind the first one.
    waiting: i64,
}

impl From<ParkedKey> for Entry {
    fn from(key: ParkedKey) -> Self {
        Self {
            at: format!("{}/{}@{}", key.topic, key.partition, key.offset),
            projection: key.projection,
            key: key.key,
            error: key.error,
            parked_at: key.parked_at,
            waiting: key.waiting,
        }
    }
}

/// The first parked event of each key, those that wait longest first.
#[utoipa::path(
    get,
    path = "/admin/v1/parked",
    operation_id = "list_parked",
    params(ListParameters),
    responses(
        (status = 200, description = "What waits now", body = Parked),
        (status = 400, description = "`unknown_parameter`, `invalid_parameter`", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "`projection_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(parts): State<Parts>,
    Query(asked): Query<ListParameters>,
) -> Result<Json<Parked>, Problem> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(invalid_parameter("limit", "It is 1 to 200."));
    }
    let names: Vec<String> = asked.projection.into_iter().collect();
    let mut keys = parked::list(&parts, &names, limit + 1).await?;
    let has_more = keys.len() > limit as usize;
    keys.truncate(limit as usize);
    let data = keys.into_iter().map(Entry::from).collect();
    Ok(Json(Parked { data, has_more }))
}
