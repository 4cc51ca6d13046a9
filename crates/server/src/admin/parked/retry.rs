//! `POST /admin/v1/parked/{projection}/retry`

use axum::extract::State;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Outcome;
use crate::parked;
use crate::parts::Parts;

/// What to fold again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// Only what is parked of this key.
    key: Option<String>,
}

/// What became of the keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Retried {
    /// Each key that had events parked.
    data: Vec<Outcome>,
    /// How many of them still wait: mend what their first events fail on, then retry again.
    waiting: usize,
}

/// Folds the parked events of a projection again, in their order, with the fold and the upcasters of this node. The
/// projections go on meanwhile. May be repeated: what was folded is not parked any more.
#[utoipa::path(
    post,
    path = "/admin/v1/parked/{projection}/retry",
    operation_id = "retry_parked",
    params(("projection" = String, Path, description = "Its name, as in `orders`")),
    request_body = Retry,
    responses(
        (status = 200, description = "It was tried; `waiting` says whether all of it could be applied", body = Retried),
        (status = 404, description = "`projection_not_found`, `nothing_parked`", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "`rebuild_running`, `other_fold`, `record_gone`, `generation_outlived`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retry(
    State(parts): State<Parts>,
    Path(projection): Path<String>,
    Json { value: asked, .. }: Json<Retry>,
) -> Result<axum::Json<Retried>, Problem> {
    let redriven = parked::retry(&parts, &projection, asked.key.as_deref()).await?;
    let outcomes = redriven.into_iter().map(|key| Outcome::of(&projection, key));
    let data: Vec<Outcome> = outcomes.collect();
    let waiting = data.iter().filter(|outcome| outcome.left.is_some()).count();
    Ok(axum::Json(Retried { data, waiting }))
}
