//! `POST /admin/v1/parked/{projection}/skip`

use axum::extract::State;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Outcome;
use crate::parked::{self, Unwanted};
use crate::parts::Parts;

/// What to leave out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Skip {
    /// Whose first parked event.
    key: String,
    /// Its place, `TOPIC/PARTITION@OFFSET`, as the list names it: a second try finds another one first, and is refused.
    at: String,
    /// Why, in at most 1,000 characters; kept with the place, the time and the database's user.
    reason: String,
}

/// Leaves the first parked event of a key out for ever, in all versions, and folds what waits behind it. There is no way
/// back.
#[utoipa::path(
    post,
    path = "/admin/v1/parked/{projection}/skip",
    operation_id = "skip_parked",
    params(("projection" = String, Path, description = "Its name, as in `orders`")),
    request_body = Skip,
    responses(
        (status = 200, description = "It is left out; `left` is the event behind it that cannot be applied, if there is one", body = Outcome),
        (status = 404, description = "`projection_not_found`, `nothing_parked`", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "`not_first_parked`, `owners_decide`, `rebuild_running`, `other_fold`, `record_gone`, `generation_outlived`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `missing_field`, `invalid_value`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn skip(
    State(parts): State<Parts>,
    Path(projection): Path<String>,
    Json { value: asked, .. }: Json<Skip>,
) -> Result<axum::Json<Outcome>, Problem> {
    let Skip { key, at, reason } = asked;
    let unwanted = Unwanted {
        key: &key,
        at: &at,
        reason: &reason,
    };
    let redriven = parked::skip(&parts, &projection, unwanted).await?;
    tracing::warn!(projection, key, at, reason, "an event is left out for ever");
    Ok(axum::Json(Outcome::of(&projection, redriven)))
}
