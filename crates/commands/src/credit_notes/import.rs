//! `POST /v1/credit-notes/import`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::order::OrderCommand;
use http_kit::json::Json;
use http_kit::problem::{Document, Problem};

use crate::answer::Changed;
use crate::api::CommandApi;
use crate::orders::import::{Historical, Invoice};
use crate::orders::{NEW, create};
use crate::request::Caller;

/// Imports a credit note of the past; its quantities are what was given back. The `Idempotency-Key`
/// is required, so that an import can be repeated.
#[utoipa::path(
    post,
    path = "/v1/credit-notes/import",
    operation_id = "import_credit_note",
    request_body = Historical,
    responses(
        (status = 201, description = "With `Location`, `ETag` and `Daybook-Position`", body = Changed),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import(
    State(api): State<Arc<CommandApi>>,
    caller: Caller,
    Json { value, raw }: Json<Historical>,
) -> Result<Response, Problem> {
    caller.require_key()?;
    let Invoice { number, at, sale } = value.invoice()?;
    let prefer = caller.prefer;
    let context = caller.context(&api, NEW, raw);
    let command = OrderCommand::ImportCreditNote {
        invoice: number,
        ordered_at: at,
        sale,
    };
    create(&api, prefer, context, command).await
}
