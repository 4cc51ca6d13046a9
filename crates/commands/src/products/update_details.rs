//! `PATCH /v1/products/{id}`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::product::{Details, ProductCommand};
use http_kit::json::Json;
use http_kit::parameters::Path;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{Changed, Made};
use crate::api::CommandApi;
use crate::body;
use crate::request::Caller;

/// What is given is new, the rest stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateDetails {
    /// A new name.
    #[serde(default)]
    name: Option<String>,
    /// New prose.
    #[serde(default)]
    description: Option<String>,
    /// A new maker.
    #[serde(default)]
    brand: Option<String>,
    /// A new kind.
    #[serde(default)]
    category: Option<String>,
}

/// Changes a product's details.
#[utoipa::path(
    patch,
    path = "/v1/products/{id}",
    operation_id = "update_product",
    params(("id" = String, Path, description = "The product")),
    request_body = UpdateDetails,
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = Changed),
        (status = 404, description = "`product_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn update_details(
    State(api): State<Arc<CommandApi>>,
    Path(id): Path<String>,
    caller: Caller,
    Json { value, raw }: Json<UpdateDetails>,
) -> Result<Response, Problem> {
    let id = super::product_id(&id)?;
    let details = Details {
        description: body::text(value.description, "/description")?,
        brand: body::text(value.brand, "/brand")?,
        category: body::text(value.category, "/category")?,
    };
    let command = ProductCommand::UpdateDetails {
        name: body::text(value.name, "/name")?,
        details,
    };
    super::execute(&api, caller, id, command, Made::Change, raw).await
}
