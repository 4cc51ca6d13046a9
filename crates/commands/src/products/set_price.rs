//! `POST /v1/products/{id}/price`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::product::ProductCommand;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{Changed, Made};
use crate::api::CommandApi;
use crate::body::Money;
use crate::request::Caller;

/// What it costs from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPrice {
    /// The price of one unit: 1 to 1,000,000,000 minor units.
    price: Money,
}

/// Sets the price of one unit. Orders placed before keep theirs.
#[utoipa::path(
    post,
    path = "/v1/products/{id}/price",
    operation_id = "set_price",
    params(("id" = String, Path, description = "The product")),
    request_body = SetPrice,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 404, description = "`product_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_price(
    State(api): State<Arc<CommandApi>>,
    Path(id): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<SetPrice>,
) -> Result<Response, Problem> {
    let id = super::product_id(&id)?;
    let (price, currency) = value.price.price("/price")?;
    let command = ProductCommand::SetPrice { price, currency };
    super::execute(&api, caller, id, command, Made::Change, raw).await
}
