//! `POST /v1/stock/{sku}/receive`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::stock_item::StockCommand;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Changed;
use crate::api::CommandApi;
use crate::body;
use crate::request::Caller;

/// What came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiveStock {
    /// 1 to 1,000,000 units.
    quantity: i64,
}

/// Takes goods in.
#[utoipa::path(
    post,
    path = "/v1/stock/{sku}/receive",
    operation_id = "receive_stock",
    params(("sku" = String, Path, description = "Its SKU")),
    request_body = ReceiveStock,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 409, description = "`stock_out_of_bounds`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn receive(
    State(api): State<Arc<CommandApi>>,
    Path(sku): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<ReceiveStock>,
) -> Result<Response, Problem> {
    let command = StockCommand::Receive {
        quantity: body::quantity(value.quantity, "/quantity")?,
    };
    super::execute(&api, caller, &sku, command, raw).await
}
