//! `POST /v1/products/{id}/publish`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use domain::product::ProductCommand;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};

use crate::answer::{Changed, Made};
use crate::api::CommandApi;
use crate::request::Caller;

/// Puts a product on sale. It needs a price. The request has no body.
#[utoipa::path(
    post,
    path = "/v1/products/{id}/publish",
    operation_id = "publish_product",
    params(("id" = String, Path, description = "The product")),
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 404, description = "`product_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "`price_missing`, `already_published`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn publish(
    State(api): State<Arc<CommandApi>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let id = super::product_id(&id)?;
    super::execute(
        &api,
        caller,
        id,
        ProductCommand::Publish,
        Made::Change,
        Bytes::new(),
    )
    .await
}
