//! What librdkafka says. While a broker is away each of its clients says so several times a second;
//! one line in a while, with a count, tells as much.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// Between two lines about a broker that is away.
const INTERVAL: Duration = Duration::from_secs(30);

static ABOUT_BROKERS: Limiter = Limiter(Mutex::new(Said {
    last: None,
    unsaid: 0,
}));

/// Of all clients of the process together: they have the same brokers.
struct Limiter(Mutex<Said>);

struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Limiter {
    /// Whether to say it now, and how much was left unsaid before it.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now < last + INTERVAL) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

pub(crate) fn error(error: &KafkaError, reason: &str) {
    about_brokers(&format!("{error}: {reason}"));
}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // These come again as errors, or are about brokers that come and go.
        _ if matches!(facility, "FAIL" | "ERROR") => about_brokers(message),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {message}"),
    }
}

fn about_brokers(message: &str) {
    match ABOUT_BROKERS.due(Instant::now()) {
        Some(0) => tracing::warn!("Kafka: {message}"),
        Some(unsaid) => tracing::warn!(unsaid, "Kafka: {message}"),
        None => tracing::debug!("Kafka: {message}"),
    }
}

/// A client that has nothing to say but this.
pub(crate) struct Plain;

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, kafka: KafkaError, reason: &str) {
        error(&kafka, reason);
    }
}

impl ConsumerContext for Plain {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while_is_said_with_the_number_of_the_others() {
        let limiter = Limiter(Mutex::new(Said {
            last: None,
            unsaid: 0,
        }));
        let start = Instant::now();
        assert_eq!(limiter.due(start), Some(0));
        assert_eq!(limiter.due(start + INTERVAL / 3), None);
        assert_eq!(limiter.due(start + INTERVAL / 2), None);
        assert_eq!(limiter.due(start + INTERVAL), Some(2));
        assert_eq!(limiter.due(start + INTERVAL * 2), Some(0));
    }
}
