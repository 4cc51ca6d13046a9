//! `/livez`, `/readyz` and `/metrics`: for those who run it, not for its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use futures::future::{BoxFuture, join_all};
use serde::Serialize;

use crate::fallback;
use crate::metrics::Recorder;

/// How long one check may take; longer counts as failed.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Check = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Whether this process can do its work: named checks of what it depends on.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
    notes: Vec<(&'static str, Check)>,
    stopping: AtomicBool,
}

impl Readiness {
    /// Ready as soon as it runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check: `true` for well. What is wrong belongs in the log; the answer only names it.
    #[must_use]
    pub fn check<F>(mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.checks.push((name, Box::new(move || Box::pin(check()))));
        self
    }

    /// Adds what somebody should look at though all requests may be sent here: `true` for well.
    #[must_use]
    pub fn note<F>(mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.notes.push((name, Box::new(move || Box::pin(check()))));
        self
    }

    /// From now on not ready, so that no new work is sent here. Call it before anything is stopped.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The names of what is not well; empty for ready. All checks run at once, each at most
    /// [`CHECK_TIMEOUT`].
    pub async fn failing(&self) -> Vec<&'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return vec!["stopping"];
        }
        unwell(&self.checks).await
    }

    /// The names of what somebody should look at, each asked for at most [`CHECK_TIMEOUT`].
    pub async fn degraded(&self) -> Vec<&'static str> {
        unwell(&self.notes).await
    }
}

async fn unwell(checks: &[(&'static str, Check)]) -> Vec<&'static str> {
    let checks = checks.iter().map(|(name, check)| async move {
        let well = tokio::time::timeout(CHECK_TIMEOUT, check())
            .await
            .unwrap_or(false);
        (!well).then_some(*name)
    });
    join_all(checks).await.into_iter().flatten().collect()
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Readiness")
            .field("checks", &names)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    failing: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<&'static str>,
}

#[derive(Clone)]
struct Probes {
    readiness: Arc<Readiness>,
    recorder: Option<Recorder>,
}

/// The three routes. Without a recorder `/metrics` is empty.
pub fn router(readiness: Arc<Readiness>, recorder: Option<Recorder>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .with_state(Probes { readiness, recorder })
}

async fn livez() -> &'static str {
    "alive"
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let readiness = &probes.readiness;
    let (failing, degraded) = tokio::join!(readiness.failing(), readiness.degraded());
    let ready = failing.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Report {
            ready,
            failing,
            degraded,
        }),
    )
        .into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    let text = probes
        .recorder
        .map(|recorder| recorder.render())
        .unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
