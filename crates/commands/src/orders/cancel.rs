//! `POST /v1/orders/{id}/cancel`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::ids::OrderId;
use domain::order::OrderCommand;
use domain::text::Text;
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{Changed, Made};
use crate::api::CommandApi;
use crate::failure::invalid;
use crate::request::Caller;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelOrder {
    /// 1 to 200 characters.
    reason: String,
}

/// Cancels an order; what it holds is released.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/cancel",
    operation_id = "cancel_order",
    params(("id" = String, Path, description = "The order")),
    request_body = CancelOrder,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 404, description = "`order_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "`not_cancellable`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    State(api): State<Arc<CommandApi>>,
    Path(id): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<CancelOrder>,
) -> Result<Response, Problem> {
    let id: OrderId = id.parse().map_err(|_| Problem::not_found("order_not_found"))?;
    let reason = Text::new(value.reason).map_err(invalid("/reason"))?;
    let prefer = caller.prefer;
    let context = caller.context(&api, id.aggregate().as_str(), raw);
    super::execute(
        &api,
        prefer,
        context,
        id,
        OrderCommand::Cancel { reason },
        Made::Change,
    )
    .await
}
