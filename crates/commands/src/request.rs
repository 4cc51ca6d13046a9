//! What a request says beside its body, and the command's context made of it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use eventsourcing::command::Context;
use eventsourcing::ids::{CommandId, Digest};
use eventsourcing::position::Positions;
use http_kit::idempotency::IdempotencyKey;
use http_kit::position::Asked;
use http_kit::precondition::IfMatch;
use http_kit::prefer::Prefer;
use http_kit::problem::Problem;
use http_kit::trace::RequestContext;

use crate::api::CommandApi;

/// Who asks, while there are no identities: everybody is the same client.
pub const CLIENT: &str = "dev";

/// The headers of a command.
pub(crate) struct Caller {
    key: Option<IdempotencyKey>,
    if_match: IfMatch,
    pub(crate) prefer: Prefer,
    pub(crate) asked: Positions,
    request: RequestContext,
    /// Method and path: the same body sent elsewhere is another request.
    target: String,
}

impl FromRequestParts<Arc<CommandApi>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<CommandApi>) -> Result<Self, Problem> {
        Ok(Self {
            key: IdempotencyKey::of(&parts.headers)?,
            if_match: IfMatch::of(&parts.headers)?,
            prefer: Prefer::of(&parts.headers)?,
            asked: Asked::from_request_parts(parts, api).await?.0,
            request: RequestContext::from_request_parts(parts, api).await?,
            target: format!("{} {}\n", parts.method, parts.uri.path()),
        })
    }
}

impl Caller {
    /// 400 `idempotency_key_required` when the request has no key.
    pub(crate) fn require_key(&self) -> Result<(), Problem> {
        if self.key.is_some() {
            return Ok(());
        }
        let status = axum::http::StatusCode::BAD_REQUEST;
        Err(Problem::new(
            status,
            "idempotency_key_required",
            "An Idempotency-Key is required",
        )
        .at("idempotency-key"))
    }

    /// The command's context. A key is scoped to its client and to `scope`: the aggregate, or what the
    /// command creates. Takes the body for good: while it lives, the connection cannot reuse its buffer.
    pub(crate) fn context(self, api: &CommandApi, scope: &str, raw: Bytes) -> Context {
        let (id, digest) = match &self.key {
            Some(key) => {
                let id = CommandId::of_key(CLIENT, &format!("{scope}\n{}", key.as_str()));
                (id, Digest::of(&[self.target.as_bytes(), &raw]))
            }
            // A fresh id never meets a repeat, so there is nothing to compare.
            None => (CommandId(api.environment.fresh()), Digest::default()),
        };
        drop(raw);
        Context {
            id,
            digest,
            expected: self.if_match.0,
            correlation: Arc::clone(&self.request.request_id),
            causation: None,
            actor: CLIENT.into(),
            traceparent: Some(self.request.traceparent.to_string().into()),
        }
    }
}
