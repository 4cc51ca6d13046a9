//! The answer to an accepted command.

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eventsourcing::command::Accepted;
use eventsourcing::ids::AggregateId;
use eventsourcing::position::{Position, Positions};
use http_kit::idempotency::IDEMPOTENT_REPLAYED;
use http_kit::position::{DAYBOOK_POSITION, header_of};
use http_kit::precondition::etag;
use http_kit::prefer::{PREFERENCE_APPLIED, Prefer, WaitFor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::CommandApi;

/// What was changed, and how often it has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The aggregate.
    pub id: String,
    /// The number of its last event; also the `ETag`.
    pub sequence: u64,
}

/// Whether the command made something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// 201 with `Location`.
    New,
    /// 200.
    Change,
}

/// Waits as the client prefers, then answers.
pub(crate) async fn accepted(
    api: &CommandApi,
    prefer: Prefer,
    aggregate: &AggregateId,
    location: &str,
    made: Made,
    accepted: Accepted,
) -> Response {
    let waited = wait(api, prefer, aggregate, &accepted).await;
    let status = match (&waited, made) {
        (Waited::NotYet, _) => StatusCode::ACCEPTED,
        (_, Made::New) => StatusCode::CREATED,
        (_, Made::Change) => StatusCode::OK,
    };
    let body = Changed {
        id: aggregate.to_string(),
        sequence: accepted.sequence.0,
    };
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(ETAG, etag(accepted.sequence));
    let position = match &waited {
        Waited::Settled(position) => position,
        Waited::NotAsked | Waited::Visible | Waited::NotYet => &accepted.position,
    };
    headers.insert(DAYBOOK_POSITION, header_of(position));
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    if accepted.replayed {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    if matches!(waited, Waited::Settled(_) | Waited::Visible) {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
    }
    response
}

enum Waited {
    NotAsked,
    /// The read models show it.
    Visible,
    /// It is decided; a read at this position shows the decision.
    Settled(Position),
    /// Committed, but what the client wanted to wait for has not come: 202.
    NotYet,
}

async fn wait(api: &CommandApi, prefer: Prefer, aggregate: &AggregateId, accepted: &Accepted) -> Waited {
    if prefer.respond_async {
        return Waited::NotYet;
    }
    let timeout = prefer.wait.unwrap_or(api.config.wait_default);
    match prefer.wait_for {
        WaitFor::Committed => Waited::NotAsked,
        WaitFor::Settled => {
            let settled = api.settlement.settled(aggregate, timeout).await;
            settled.map_or(Waited::NotYet, Waited::Settled)
        }
        WaitFor::Visible => match &api.visibility {
            Some(visibility) => {
                let positions: Positions = std::iter::once(accepted.position.clone()).collect();
                let visible = visibility.visible(&positions, timeout).await;
                if visible { Waited::Visible } else { Waited::NotYet }
            }
            None => Waited::NotYet,
        },
    }
}
