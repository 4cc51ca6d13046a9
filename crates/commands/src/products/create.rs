//! `POST /v1/products`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::ids::ProductId;
use domain::product::{Details, ProductCommand};
use domain::text::Text;
use http_kit::json::Json;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{Changed, Made};
use crate::api::CommandApi;
use crate::body;
use crate::failure::invalid;
use crate::request::Caller;

/// A new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateProduct {
    /// Its stock keeping unit, for ever; one product has it.
    sku: String,
    /// Its name, 1 to 200 characters.
    name: String,
    /// Prose, up to 5,000 characters.
    #[serde(default)]
    description: Option<String>,
    /// Who makes it.
    #[serde(default)]
    brand: Option<String>,
    /// What kind of thing it is.
    #[serde(default)]
    category: Option<String>,
}

/// Creates a product. It is a draft until it has a price and is published.
#[utoipa::path(
    post,
    path = "/v1/products",
    operation_id = "create_product",
    request_body = CreateProduct,
    responses(
        (status = 201, description = "With `Location`, `ETag` and `Daybook-Position`", body = Changed),
        (status = 409, description = "`product_exists`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    State(api): State<Arc<CommandApi>>,
    caller: Caller,
    Json { value, raw }: Json<CreateProduct>,
) -> Result<Response, Problem> {
    let sku = body::sku(&value.sku, "/sku")?;
    let details = Details {
        description: body::text(value.description, "/description")?,
        brand: body::text(value.brand, "/brand")?,
        category: body::text(value.category, "/category")?,
    };
    let id = ProductId::of_sku(&sku);
    let name = Text::new(value.name).map_err(invalid("/name"))?;
    let command = ProductCommand::Create { sku, name, details };
    super::execute(&api, caller, id, command, Made::New, raw).await
}
