//! `GET /v1/products/{id}`

use axum::extract::State;
use axum::response::Response;
use http_kit::parameters::{Path, Query};
use http_kit::position::Asked;
use http_kit::precondition::IfNoneMatch;
use http_kit::problem::{Document, Problem};

use super::{COLUMNS, Product, decode};
use crate::answer::One;
use crate::parameters::OneParameters;
use crate::reads::{ReadModel, Reads};

const ONE: One<Product> = One {
    model: ReadModel::Products,
    columns: COLUMNS,
    by: "id =",
    decode,
    sequence: |found| found.sequence,
    missing: "product_not_found",
};

/// One product.
#[utoipa::path(
    get,
    path = "/v1/products/{id}",
    operation_id = "get_product",
    params(("id" = String, Path, description = "Its id"), OneParameters),
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`; with `as_of` also `Daybook-As-Of`", body = Product),
        (status = 304, description = "The client has it already (`If-None-Match`)"),
        (status = 400, description = "`unknown_parameter`, `invalid_parameter`", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "`product_not_found`, `snapshot_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`position_not_reached`, `read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(reads): State<Reads>,
    Path(id): Path<String>,
    Query(parameters): Query<OneParameters>,
    Asked(asked): Asked,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    ONE.answer(&reads, &asked, parameters.as_of, &known, &id).await
}
