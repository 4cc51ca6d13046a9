//! `POST /v1/stock/{sku}/adjust`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::stock_item::StockCommand;
use domain::text::Text;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Changed;
use crate::api::CommandApi;
use crate::failure::invalid;
use crate::request::Caller;

/// By how much, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdjustStock {
    /// Units more or (negative) less; what is reserved must stay.
    delta: i64,
    /// Why, 1 to 200 characters.
    reason: String,
}

/// Corrects the number on hand, after a count or a loss.
#[utoipa::path(
    post,
    path = "/v1/stock/{sku}/adjust",
    operation_id = "adjust_stock",
    params(("sku" = String, Path, description = "Its SKU")),
    request_body = AdjustStock,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 409, description = "`stock_out_of_bounds`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn adjust(
    State(api): State<Arc<CommandApi>>,
    Path(sku): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<AdjustStock>,
) -> Result<Response, Problem> {
    let reason = Text::new(value.reason).map_err(invalid("/reason"))?;
    let command = StockCommand::Adjust {
        delta: value.delta,
        reason,
    };
    super::execute(&api, caller, &sku, command, raw).await
}
