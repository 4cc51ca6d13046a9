//! Every metric of the product, with its unit, in one place. The crates below HTTP record under the
//! same names; [`describe`] tells Prometheus what they mean.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Histogram, Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Histogram, seconds: a request, by `api`, `method`, `route` and `status`.
pub const HTTP_REQUEST_SECONDS: &str = "daybook_http_request_seconds";
/// Gauge: open connections, by `api`.
pub const HTTP_CONNECTIONS: &str = "daybook_http_connections";
/// Histogram, seconds: append to acknowledgement of one batch.
pub const OWNER_APPEND_SECONDS: &str = "daybook_owner_append_seconds";
/// Histogram: records in one batch.
pub const OWNER_BATCH_RECORDS: &str = "daybook_owner_batch_records";
/// Counter: commands that waited past their deadline and were not begun.
pub const OWNER_SHED_COMMANDS: &str = "daybook_owner_shed_commands_total";
/// Gauge: aggregates in the memory of an owner, by `topic` and `partition`.
pub const OWNER_AGGREGATES: &str = "daybook_owner_aggregates";
/// Histogram: records a projection applied in one transaction, by `projection`.
pub const PROJECTION_BATCH_RECORDS: &str = "daybook_projection_batch_records";
/// Counter: events parked, by `projection`.
pub const PROJECTION_PARKED: &str = "daybook_projection_parked_events_total";
/// Gauge: events that are parked now, in the live version, by `projection`.
pub const PROJECTION_PARKED_NOW: &str = "daybook_projection_events_parked";
/// Gauge: 1 while somebody rebuilds it, on whatever node, by `projection`.
pub const REBUILD_RUNNING: &str = "daybook_rebuild_running";
/// Gauge: records that the rebuild has come to, by `projection`; 0 when there is none.
pub const REBUILD_RECORDS: &str = "daybook_rebuild_log_records";
/// Gauge: records that it has to come to, by `projection`; 0 when there is none.
pub const REBUILD_RECORDS_TARGET: &str = "daybook_rebuild_log_records_target";
/// Counter: commands a process has sent, by `process` and `outcome`.
pub const PROCESS_COMMANDS: &str = "daybook_process_commands_total";
/// Histogram, seconds: how long a read waited for its position, by `projection` and `outcome`.
pub const QUERY_POSITION_WAIT_SECONDS: &str = "daybook_query_position_wait_seconds";

/// How often recorded samples are folded into the histograms; without it they pile up in memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
const SECONDS_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const RECORDS_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The recorder of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(PrometheusHandle);

/// Installs the process's recorder, once, and describes every metric.
pub fn install() -> Result<Recorder, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(Recorder(handle))
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), RECORDS_BUCKETS)
}

impl Recorder {
    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the recorder's memory bounded; runs until dropped.
    pub async fn upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// Tells the recorder unit and meaning of each metric.
pub fn describe() {
    describe_histogram!(
        HTTP_REQUEST_SECONDS,
        Unit::Seconds,
        "A request, from its head to its answer"
    );
    describe_gauge!(HTTP_CONNECTIONS, Unit::Count, "Open connections");
    describe_histogram!(
        OWNER_APPEND_SECONDS,
        Unit::Seconds,
        "A batch, from append to acknowledgement"
    );
    describe_histogram!(OWNER_BATCH_RECORDS, Unit::Count, "Records in one batch");
    describe_counter!(
        OWNER_SHED_COMMANDS,
        Unit::Count,
        "Commands that waited past their deadline and were not begun"
    );
    describe_gauge!(
        OWNER_AGGREGATES,
        Unit::Count,
        "Aggregates in the memory of an owner"
    );
    describe_histogram!(
        PROJECTION_BATCH_RECORDS,
        Unit::Count,
        "Records applied in one transaction"
    );
    describe_counter!(
        PROJECTION_PARKED,
        Unit::Count,
        "Events set aside because they could not be applied"
    );
    describe_gauge!(
        PROJECTION_PARKED_NOW,
        Unit::Count,
        "Events that are parked now, and keep those behind them of their keys waiting"
    );
    describe_gauge!(REBUILD_RUNNING, Unit::Count, "Whether it is being rebuilt");
    describe_gauge!(
        REBUILD_RECORDS,
        Unit::Count,
        "Records of the log that a rebuild has come to"
    );
    describe_gauge!(
        REBUILD_RECORDS_TARGET,
        Unit::Count,
        "Records of the log that a rebuild has to come to"
    );
    describe_counter!(PROCESS_COMMANDS, Unit::Count, "Commands sent by a process");
    describe_histogram!(
        QUERY_POSITION_WAIT_SECONDS,
        Unit::Seconds,
        "How long a read waited until its projection reached the asked position"
    );
}

/// [`HTTP_REQUEST_SECONDS`] of one API. A handle is looked up in the recorder once, not per request:
/// that allocates each label.
pub(crate) struct Requests {
    api: &'static str,
    known: RwLock<HashMap<String, OfRoute>>,
}

/// The handles of one route, by method and status.
type OfRoute = HashMap<(&'static str, StatusCode), Histogram>;

impl Requests {
    /// Of the API called `api`. The recorder must be installed before the first request.
    pub(crate) fn of(api: &'static str) -> Self {
        let known = RwLock::default();
        Self { api, known }
    }

    /// `route` is a pattern, so there are not more handles than routes × methods × statuses.
    pub(crate) fn record(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let (method, seconds) = (method_label(method), took.as_secs_f64());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = known.get(route).and_then(|of| of.get(&(method, status))) {
            return histogram.record(seconds);
        }
        drop(known);
        let histogram = metrics::histogram!(
            HTTP_REQUEST_SECONDS,
            "api" => self.api,
            "method" => method,
            "route" => route.to_owned(),
            "status" => status.as_str().to_owned(),
        );
        histogram.record(seconds);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let of_route = known.entry(route.to_owned()).or_default();
        of_route.insert((method, status), histogram);
    }
}

/// A client may invent methods; metrics must not grow with them.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_route_in_buckets_of_seconds() {
        let recorder = builder().expect("buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            let strange = Method::from_bytes(b"BREW").expect("a method");
            let requests = Requests::of("queries");
            for _ in 0..2 {
                requests.record(
                    &strange,
                    "/v1/orders/{id}",
                    StatusCode::OK,
                    Duration::from_millis(3),
                );
            }
        });
        let text = handle.render();
        let bucket = r#"daybook_http_request_seconds_bucket{api="queries",method="other",route="/v1/orders/{id}",status="200",le="0.005"} 2"#;
        assert!(text.contains(bucket), "{text}");
    }
}
