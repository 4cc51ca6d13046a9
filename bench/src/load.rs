//! The load generator: raw HTTP/1.1 over kept-alive connections, made cheap because it shares the
//! processors with what it measures. Its cost is the same for every contender.

mod answer;
pub(crate) mod closed;
pub(crate) mod flood;
pub(crate) mod open;

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cell::{histogram, note};
pub(crate) use answer::{Ack, Answer};

/// Writes requests. Every number gives another request.
pub(crate) trait Requests: Send + Sync + 'static {
    /// The whole request, head and body, appended to `out`.
    fn write(&self, number: u64, out: &mut Vec<u8>);
}

/// What came back from a load.
pub(crate) struct Tally {
    /// Where each acknowledged record lies.
    pub(crate) acks: Vec<Ack>,
    /// How many of them came within the time.
    pub(crate) in_time: u64,
    /// Answers that say nothing was written.
    pub(crate) refused: u64,
    /// Answers (or broken connections) that leave the outcome open.
    pub(crate) unknown: u64,
    /// The first answer that was no acknowledgement, for people.
    pub(crate) first_failure: Option<String>,
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// The same, of the refusals alone.
    pub(crate) refusals: Histogram<u64>,
    /// Work of the whole machine meanwhile.
    pub(crate) cpu_seconds: f64,
    /// The time it was to last.
    pub(crate) duration: Duration,
}

impl Tally {
    fn new(duration: Duration) -> Self {
        Self {
            acks: Vec::new(),
            in_time: 0,
            refused: 0,
            unknown: 0,
            first_failure: None,
            latencies: histogram(),
            refusals: histogram(),
            cpu_seconds: 0.0,
            duration,
        }
    }

    fn answered(&mut self, answer: &Answer, latency: Duration, in_time: bool) {
        note(&mut self.latencies, latency);
        if let Some(ack) = answer.ack {
            self.acks.push(ack);
            self.in_time += u64::from(in_time);
            return;
        }
        if answer.definite {
            note(&mut self.refusals, latency);
        }
        self.failed(answer.definite, || format!("status {}", answer.status));
    }

    fn failed(&mut self, definite: bool, why: impl FnOnce() -> String) {
        let count = if definite {
            &mut self.refused
        } else {
            &mut self.unknown
        };
        *count += 1;
        self.first_failure.get_or_insert_with(why);
    }

    fn add(&mut self, other: Self) {
        self.acks.extend(other.acks);
        self.in_time += other.in_time;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.latencies.add(&other.latencies).expect("the same bounds");
        self.refusals.add(&other.refusals).expect("the same bounds");
    }
}
