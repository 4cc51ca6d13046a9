//! `POST /v1/stock/{sku}/reserve`

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

/// For whom, and how many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReserveStock {
    /// The order.
    order: String,
    /// 1 to 1,000,000 units.
    quantity: i64,
}

/// Holds units for an order. The checkout does this by itself.
#[utoipa::path(
    post,
    path = "/v1/stock/{sku}/reserve",
    operation_id = "reserve_stock",
    params(("sku" = String, Path, description = "Its SKU")),
    request_body = ReserveStock,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 409, description = "`insufficient_stock`, `already_reserved`, `reservation_closed`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reserve(
    State(api): State<Arc<CommandApi>>,
    Path(sku): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<ReserveStock>,
) -> Result<Response, Problem> {
    let (order, quantity) = (
        super::order_id(&value.order)?,
        body::quantity(value.quantity, "/quantity")?,
    );
    let command = StockCommand::Reserve { order, quantity };
    super::execute(&api, caller, &sku, command, raw).await
}
