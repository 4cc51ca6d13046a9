//! `GET /v1/orders/{id}/history`

use axum::extract::State;
use axum::response::Response;
use http_kit::parameters::{Path, Query};
use http_kit::position::Asked;
use http_kit::precondition::IfNoneMatch;
use http_kit::problem::{Document, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Shortage, past};
use crate::parameters::OneParameters;
use crate::reads::Reads;

/// What happened to an order: at most a handful of entries, for its rules end it after three.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderHistory)]
pub(super) struct History {
    /// The order.
    pub(super) id: String,
    /// Of its last entry; its `ETag`.
    pub(super) sequence: i64,
    /// The oldest first.
    pub(super) entries: Vec<Entry>,
}

/// One event, and how the order stood after it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderHistoryEntry)]
pub(super) struct Entry {
    /// Its number within the order, from 1; what `GET /v1/orders/{id}?sequence=` takes.
    pub(super) sequence: i64,
    /// Its versioned type, `daybook.order.placed.v1`; the data of each is under `schemas/events`.
    #[serde(rename = "type")]
    pub(super) event_type: String,
    /// When it was recorded, RFC 3339, UTC; of an import not the date of the invoice.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) time: OffsetDateTime,
    /// Who asked for it: a client, or a process of the shop (`process:checkout`).
    pub(super) actor: String,
    /// The id of the request that caused it.
    pub(super) request_id: String,
    /// Its `ce_id` in the log, a UUID.
    pub(super) event_id: String,
    /// The order's status after it.
    pub(super) status: String,
    /// Why it was rejected (a code) or cancelled (in words).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What was missing, of a rejected order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shortage: Option<Shortage>,
}

/// What happened to an order, event by event.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}/history",
    operation_id = "get_order_history",
    params(("id" = String, Path, description = "Its id"), OneParameters),
    responses(
        (status = 200, description = "With `ETag` and `Daybook-Position`", body = History),
        (status = 304, description = "The client has it already (`If-None-Match`)"),
        (status = 404, description = "`order_not_found`, `snapshot_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`position_not_reached`, `read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn history(
    State(reads): State<Reads>,
    Path(id): Path<String>,
    Query(parameters): Query<OneParameters>,
    Asked(asked): Asked,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let found = past::ONE.find(&reads, &asked, parameters.as_of, &id).await?;
    let found = found.then(|past| {
        Ok(History {
            id: past.now.id,
            sequence: past.now.sequence,
            entries: past.entries,
        })
    })?;
    let sequence = found.thing.sequence;
    found.answer(&known, sequence)
}
