//! What happens around every endpoint of both APIs: request id and trace, the limit on requests at
//! once, problems instead of bare statuses, a metric and a log line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use eventsourcing::clock::Environment;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::fallback;
use crate::json::{self, BodyLimit};
use crate::metrics;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::trace::{REQUEST_ID, RequestContext};

/// The limits of one API.
#[derive(Clone, Copy, Debug)]
pub struct Conventions {
    /// Which API, as metrics and log lines name it: `commands`, `queries`.
    pub api: &'static str,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// How many requests are worked on at once; one more gets 503 `overloaded` at once.
    pub requests_max: usize,
}

impl Conventions {
    /// The defaults for the API called `api`.
    #[must_use]
    pub const fn new(api: &'static str) -> Self {
        Self {
            api,
            body_bytes_max: json::BODY_BYTES_MAX,
            requests_max: 4096,
        }
    }
}

#[derive(Clone)]
struct Around {
    api: &'static str,
    body_limit: BodyLimit,
    permits: Arc<Semaphore>,
    environment: Arc<dyn Environment>,
}

/// Puts the conventions around `router`. Merge [`crate::health::router`] after it, so that probes are
/// neither counted nor shed.
pub fn apply(router: Router, conventions: Conventions, environment: Arc<dyn Environment>) -> Router {
    let around = Around {
        api: conventions.api,
        body_limit: BodyLimit(conventions.body_bytes_max),
        permits: Arc::new(Semaphore::new(conventions.requests_max)),
        environment,
    };
    router
        .fallback(fallback::route_not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(json::no_other_limit())
        .layer(middleware::from_fn_with_state(around, surround))
}

async fn surround(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = RequestContext::of(request.headers(), around.environment.as_ref());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(around.body_limit);
    let span =
        tracing::debug_span!("request", request_id = %context.request_id, trace = %context.traceparent);
    let answered = answer(&around, request, next).instrument(span).await;
    let response = finish(answered, &context);
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    report(
        &around,
        &method,
        route,
        response.status(),
        started.elapsed(),
        &context,
    );
    response
}

async fn answer(around: &Around, request: Request, next: Next) -> Response {
    let Ok(_permit) = around.permits.try_acquire() else {
        return Problem::overloaded().into_response();
    };
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        // The panic hook has told the log; the client gets an answer and other requests live on.
        Err(_) => Problem::internal().into_response(),
    }
}

/// Every refusal leaves as a problem that names its request.
fn finish(mut response: Response, context: &RequestContext) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers().get(ALLOW).cloned();
        response = problem.answer(Some(&context.request_id));
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    } else if is_bare(&response) {
        let kept = kept(response.headers());
        response = fallback::of_status(response.status()).answer(Some(&context.request_id));
        response.headers_mut().extend(kept);
    }
    let id = HeaderValue::from_str(&context.request_id).expect("a sane id is a header value");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn is_bare(response: &Response) -> bool {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    failed
        && response
            .headers()
            .get(CONTENT_TYPE)
            .is_none_or(|kind| kind != PROBLEM_JSON)
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let kept = [ALLOW, RETRY_AFTER];
    let of = |name: axum::http::HeaderName| headers.get(&name).map(|value| (name, value.clone()));
    kept.into_iter().filter_map(of).collect()
}

fn report(
    around: &Around,
    method: &Method,
    route: &str,
    status: StatusCode,
    took: Duration,
    context: &RequestContext,
) {
    metrics::request(around.api, method, route, status, took);
    let (api, status, id) = (around.api, status.as_u16(), &context.request_id);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match status {
        503 => tracing::warn!(api, %method, route, status, micros, request_id = %id, "request not served"),
        500.. => tracing::error!(api, %method, route, status, micros, request_id = %id, "request failed"),
        _ => tracing::debug!(api, %method, route, status, micros, request_id = %id, "request"),
    }
}
