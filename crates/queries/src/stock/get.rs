//! `GET /v1/stock/{sku}`

use axum::extract::State;
use axum::response::Response;
use http_kit::parameters::{Path, Query};
use http_kit::position::Asked;
use http_kit::precondition::IfNoneMatch;
use http_kit::problem::{Document, Problem};

use super::{COLUMNS, Stock, decode};
use crate::answer::One;
use crate::parameters::OneParameters;
use crate::reads::{ReadModel, Reads};

const ONE: One<Stock> = One {
    model: ReadModel::Availability,
    columns: COLUMNS,
    by: "sku =",
    decode,
    sequence: |found| found.sequence,
    missing: "stock_not_found",
};

/// The stock of one SKU.
#[utoipa::path(
    get,
    path = "/v1/stock/{sku}",
    operation_id = "get_stock",
    params(("sku" = String, Path, description = "Its SKU"), OneParameters),
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`; with `as_of` also `Daybook-As-Of`", body = Stock),
        (status = 304, description = "The client has it already (`If-None-Match`)"),
        (status = 400, description = "`unknown_parameter`, `invalid_parameter`", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "`stock_not_found`, `snapshot_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`position_not_reached`, `read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(reads): State<Reads>,
    Path(sku): Path<String>,
    Query(parameters): Query<OneParameters>,
    Asked(asked): Asked,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    ONE.answer(&reads, &asked, parameters.as_of, &known, &sku).await
}
