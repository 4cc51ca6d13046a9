//! `POST /v1/stock/{sku}/confirm`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::stock_item::StockCommand;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};

use super::OfOrder;
use crate::answer::Changed;
use crate::api::CommandApi;
use crate::request::Caller;

/// Confirms an order's reservation. The checkout does this by itself.
#[utoipa::path(
    post,
    path = "/v1/stock/{sku}/confirm",
    operation_id = "confirm_stock",
    params(("sku" = String, Path, description = "Its SKU")),
    request_body = OfOrder,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 409, description = "`no_reservation`, `already_confirmed`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn confirm(
    State(api): State<Arc<CommandApi>>,
    Path(sku): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<OfOrder>,
) -> Result<Response, Problem> {
    let command = StockCommand::Confirm {
        order: super::order_id(&value.order)?,
    };
    super::execute(&api, caller, &sku, command, raw).await
}
