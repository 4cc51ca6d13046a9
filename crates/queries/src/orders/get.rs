//! `GET /v1/orders/{id}`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use http_kit::parameters::{Path, Query, invalid_parameter};
use http_kit::precondition::IfNoneMatch;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{COLUMNS, Order, decode, past};
use crate::answer::One;
use crate::reads::{AsOf, ReadModel, Reads};

const ONE: One<Order> = One {
    model: ReadModel::Orders,
    columns: COLUMNS,
    by: "id =",
    decode,
    sequence: |found| found.sequence,
    missing: "order_not_found",
};

/// Which state to show; the newest without any.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetParameters {
    /// The order after its event of this number, from 1.
    #[param(minimum = 1)]
    sequence: Option<u64>,
    /// A time of RFC 3339: the order as it was then (not together with `sequence`). Or a position, `orders/3@1042`:
    /// show at least this; the same as the header `Daybook-Position`.
    at: Option<String>,
    /// Show it as it stood at this instant, `2011-06-30T00:00:00Z`: a snapshot that `daybook rebuild … --as-of` has built.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<AsOf>,
}

/// One order or credit note, now or as it was.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}",
    operation_id = "get_order",
    params(("id" = String, Path, description = "Its id"), GetParameters),
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`; with `as_of` also `Daybook-As-Of`", body = Order),
        (status = 304, description = "The client has it already (`If-None-Match`)"),
        (status = 400, description = "`unknown_parameter`, `invalid_parameter`", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "`order_not_found`, `sequence_not_reached`, `snapshot_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`position_not_reached`, `read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(reads): State<Reads>,
    Path(id): Path<String>,
    Query(parameters): Query<GetParameters>,
    headers: HeaderMap,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let (asked, moment) = past::asked(&headers, parameters.at.as_deref(), parameters.sequence)?;
    let Some(moment) = moment else {
        return ONE.answer(&reads, &asked, parameters.as_of, &known, &id).await;
    };
    if parameters.as_of.is_some() {
        let detail = "A snapshot and a moment of the history are two pasts: ask for one.";
        return Err(invalid_parameter("as_of", detail));
    }
    let found = past::ONE.find(&reads, &asked, None, &id).await?;
    let found = found.then(|past| past.at(moment))?;
    let sequence = found.thing.sequence;
    found.answer(&known, sequence)
}
