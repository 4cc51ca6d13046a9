//! One cell: one contender under load for a few seconds.

use std::time::Duration;

use async_trait::async_trait;
use hdrhistogram::Histogram;

/// The longest latency a histogram tells apart.
const LATENCY_MAX: Duration = Duration::from_mins(1);

/// What a cell showed.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Acknowledged within the time.
    pub(crate) acknowledged: u64,
    /// The time.
    pub(crate) seconds: f64,
    /// Work of the whole machine, from the first request to the last answer.
    pub(crate) cpu_seconds: f64,
    /// Acknowledged at all, the last answers included: what `cpu_seconds` was spent on.
    pub(crate) worked: u64,
    /// Bytes of the records (key, value, headers) acknowledged within the time; of memory, where that is measured.
    pub(crate) bytes: u64,
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Answers other than an acknowledgement.
    pub(crate) failures: u64,
    /// Of the answers that say nothing was written, in microseconds.
    pub(crate) refusals: Histogram<u64>,
    /// The invariant this cell broke; it counts for nothing then.
    pub(crate) void: Option<String>,
}

impl Cell {
    /// One operation that took so long.
    pub(crate) fn of_one(took: Duration) -> Self {
        let mut latencies = histogram();
        note(&mut latencies, took);
        Self {
            acknowledged: 1,
            seconds: took.as_secs_f64(),
            cpu_seconds: 0.0,
            worked: 1,
            bytes: 0,
            latencies,
            failures: 0,
            refusals: histogram(),
            void: None,
        }
    }

    /// How long an operation took, in milliseconds, where one follows another.
    pub(crate) fn milliseconds(&self) -> f64 {
        self.seconds * 1e3 / as_float(self.acknowledged)
    }

    /// How long it took.
    pub(crate) const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Bytes per acknowledged operation.
    pub(crate) fn bytes_each(&self) -> f64 {
        as_float(self.bytes) / as_float(self.acknowledged)
    }

    /// What a process held at most where `bytes` is that, in MB.
    pub(crate) fn megabytes_held(&self) -> f64 {
        as_float(self.bytes) / 1e6
    }

    /// Acknowledged operations per second.
    pub(crate) fn rate(&self) -> f64 {
        as_float(self.acknowledged) / self.seconds
    }

    /// CPU seconds of the machine per 1,000 acknowledged operations.
    pub(crate) fn cpu_per_thousand(&self) -> f64 {
        self.cpu_seconds / as_float(self.worked) * 1_000.0
    }

    /// Record bytes per second, in MB.
    pub(crate) fn megabytes(&self) -> f64 {
        as_float(self.bytes) / self.seconds / 1e6
    }

    /// The 99th percentile, in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        as_float(self.latencies.value_at_quantile(0.99)) / 1e3
    }

    /// The 99th percentile of the refusals, in milliseconds.
    pub(crate) fn refusal_p99_ms(&self) -> f64 {
        as_float(self.refusals.value_at_quantile(0.99)) / 1e3
    }

    /// Answers of any kind per second: what the load really was.
    pub(crate) fn answered(&self) -> f64 {
        as_float(self.worked + self.failures) / self.seconds
    }

    /// The median, in milliseconds.
    pub(crate) fn p50_ms(&self) -> f64 {
        as_float(self.latencies.value_at_quantile(0.5)) / 1e3
    }
}

/// Counts of a run are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) const fn as_float(count: u64) -> f64 {
    count as f64
}

/// An empty histogram of microseconds with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let max = u64::try_from(LATENCY_MAX.as_micros()).expect("a minute fits");
    Histogram::new_with_bounds(1, max, 3).expect("the bounds are in order")
}

/// Notes a latency; what is beyond the histogram's end is noted at its end.
pub(crate) fn note(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

/// Something that can be put under load, again and again.
#[async_trait]
pub(crate) trait Contender: Send {
    /// For the table.
    fn name(&self) -> String;

    /// One cell. Checks its own invariants; a breach makes the cell void, it is no error.
    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell>;
}
