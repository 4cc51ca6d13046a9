//! What happens around every endpoint of both APIs: request id and trace, the limit on requests at
//! once, problems instead of bare statuses, a metric and a log line.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use eventsourcing::clock::Environment;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tower::{Service, layer};
use tracing::Instrument;

use crate::fallback;
use crate::given::Given;
use crate::json;
use crate::metrics::Requests;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::trace::{REQUEST_ID, RequestContext};

/// Where the paths begin that are for Daybook's own processes.
pub const INTERNAL: &str = "/internal/";

/// The limits of one API.
#[derive(Clone, Copy, Debug)]
pub struct Conventions {
    /// Which API, as metrics and log lines name it: `commands`, `queries`.
    pub api: &'static str,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// How many requests are worked on at once; one more gets 503 `overloaded` at once. Requests of other
    /// nodes ([`INTERNAL`]) have as many places of their own: else two nodes full of clients' requests
    /// would each refuse what the other hands on.
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

/// What all requests of one API share.
struct Around {
    api: &'static str,
    body_bytes_max: usize,
    permits: Arc<Semaphore>,
    permits_internal: Arc<Semaphore>,
    environment: Arc<dyn Environment>,
    requests: Requests,
}

/// Puts the conventions around `router`. Merge [`crate::health::router`] after it, so that probes are
/// neither counted nor shed.
pub fn apply(router: Router, conventions: Conventions, environment: Arc<dyn Environment>) -> Router {
    let around = Arc::new(Around {
        api: conventions.api,
        body_bytes_max: conventions.body_bytes_max,
        permits: Arc::new(Semaphore::new(conventions.requests_max)),
        permits_internal: Arc::new(Semaphore::new(conventions.requests_max)),
        environment,
        requests: Requests::of(conventions.api),
    });
    router
        .fallback(fallback::route_not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(layer::layer_fn(move |inner| Surround {
            around: Arc::clone(&around),
            inner,
        }))
}

/// The conventions around one endpoint. A service of its own and not a function for the framework to
/// wrap: that boxes the endpoint anew for each request.
#[derive(Clone)]
struct Surround<S> {
    around: Arc<Around>,
    inner: S,
}

impl<S> Service<Request> for Surround<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let around = Arc::clone(&self.around);
        let context = RequestContext::of(request.headers(), around.environment.as_ref());
        let method = request.method().clone();
        let route = request.extensions().get::<MatchedPath>().cloned();
        // Before anything is done for it: a refusal must stay cheap when there are many.
        let Ok(permit) = around.places(request.uri().path()).try_acquire_owned() else {
            let shed = Problem::overloaded().answer(Some(&context.request_id));
            return Box::pin(std::future::ready(Ok(around.told(
                shed,
                &method,
                route.as_ref(),
                started,
                &context,
            ))));
        };
        request.extensions_mut().insert(Given {
            context: context.clone(),
            body_bytes_max: around.body_bytes_max,
        });
        let span =
            tracing::debug_span!("request", request_id = %context.request_id, trace = %context.traceparent);
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answered = answer(answering).instrument(span).await;
            drop(permit);
            let response = finish(answered, &context);
            Ok(around.told(response, &method, route.as_ref(), started, &context))
        })
    }
}

impl Around {
    /// The places for requests to this path.
    fn places(&self, path: &str) -> Arc<Semaphore> {
        Arc::clone(if path.starts_with(INTERNAL) {
            &self.permits_internal
        } else {
            &self.permits
        })
    }

    /// The answer with its request's id, counted and noted.
    fn told(
        &self,
        mut response: Response,
        method: &Method,
        route: Option<&MatchedPath>,
        started: Instant,
        context: &RequestContext,
    ) -> Response {
        let id = HeaderValue::from_str(&context.request_id).expect("a sane id is a header value");
        response.headers_mut().insert(REQUEST_ID, id);
        let route = route.map_or("unmatched", MatchedPath::as_str);
        let (status, took) = (response.status(), started.elapsed());
        self.requests.record(method, route, status, took);
        report(self.api, method, route, status, took, context);
        response
    }
}

/// The answer of the endpoint, even when it panics.
async fn answer(answering: impl Future<Output = Result<Response, Infallible>>) -> Response {
    match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(Ok(response)) => response,
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
    api: &str,
    method: &Method,
    route: &str,
    status: StatusCode,
    took: Duration,
    context: &RequestContext,
) {
    let (status, id) = (status.as_u16(), &context.request_id);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match status {
        // Whatever is away says so itself, once; the metric counts the requests.
        503 => tracing::debug!(api, %method, route, status, micros, request_id = %id, "request not served"),
        500.. => tracing::error!(api, %method, route, status, micros, request_id = %id, "request failed"),
        _ => tracing::debug!(api, %method, route, status, micros, request_id = %id, "request"),
    }
}
