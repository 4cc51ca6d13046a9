//! An open loop: commands come at their times, whatever the answers do, as customers come. What is not attempted
//! is asked of another node at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::command::Command;
use super::line::{Line, Patience};
use super::told::{Doubt, Told};
use super::{PLENTY, Shared, skus};
use crate::http::NoAnswer;

/// Commands under way at once; those that find no place count as late.
const UNDER_WAY_MAX: usize = 1_024;
/// After all nodes have refused in turn.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// The latencies are kept to three digits up to this, in microseconds.
const LATENCY_MAX_US: u64 = 120_000_000;

/// What came of it. Latencies are from the time at which a command was due, in microseconds.
pub(crate) struct Measured {
    pub(crate) latency: Histogram<u64>,
    /// Commands that were due while all places were taken, and so were sent late.
    pub(crate) late: u64,
    /// Attempts that were refused without being attempted.
    pub(crate) not_attempted: u64,
    /// Commands that needed more than one node.
    pub(crate) retried: u64,
    /// Answers that say nothing, or none in time.
    pub(crate) unknown: u64,
    /// Connections that were reset under a request.
    pub(crate) resets: u64,
    /// Connections that were closed in order, but under a request.
    pub(crate) closed: u64,
    /// Commands that the rules refused: none should be.
    pub(crate) refused: u64,
}

/// The load.
pub(crate) struct OpenLoop {
    shared: Arc<Shared>,
    rate: u32,
    measured: Mutex<Measured>,
    /// Sets of connections that nobody uses now: the one used last is taken first.
    idle: Mutex<Vec<Vec<Line>>>,
}

impl OpenLoop {
    pub(crate) fn new(shared: &Arc<Shared>, rate: u32) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            shared: Arc::clone(shared),
            rate,
            measured: Mutex::new(Measured::new()?),
            idle: Mutex::default(),
        }))
    }

    /// Until the shared stop; then what is under way is brought to an end.
    pub(crate) async fn run(self: Arc<Self>) {
        let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        let (started, gap) = (Instant::now(), Duration::from_secs(1) / self.rate);
        let skus = skus();
        let mut commands = JoinSet::new();
        for number in 0_u32.. {
            let due = started + gap * number;
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = self.shared.stop.cancelled() => break,
            }
            while commands.try_join_next().is_some() {}
            let place = if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                place
            } else {
                self.note(|measured| measured.late += 1);
                let place = Arc::clone(&places).acquire_owned().await;
                place.expect("the semaphore is never closed")
            };
            let sku = &skus[number as usize % PLENTY];
            let command = Command::receive(format!("open-{number}"), sku, 1);
            let of = Arc::clone(&self);
            commands.spawn(async move {
                of.one(&command, number as usize, due).await;
                drop(place);
            });
        }
        while commands.join_next().await.is_some() {}
    }

    async fn one(&self, command: &Command, number: usize, due: Instant) {
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lines = taken.unwrap_or_else(|| Line::to_all(&self.shared));
        let patience = Patience(self.shared.style.answer_max);
        for attempt in 0.. {
            let nodes = lines.len();
            let told = lines[(number + attempt) % nodes].attempt(command, patience).await;
            match told {
                Told::Accepted(_) => {
                    let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(LATENCY_MAX_US);
                    self.note(|measured| {
                        measured.latency.saturating_record(took);
                        measured.retried += u64::from(attempt > 0);
                    });
                    break;
                }
                Told::Refused(_) => {
                    self.note(|measured| measured.refused += 1);
                    break;
                }
                Told::NotAttempted(_) => self.note(|measured| measured.not_attempted += 1),
                Told::Unknown(Doubt::NoAnswer(NoAnswer::Closed)) => {
                    self.note(|measured| measured.closed += 1);
                }
                Told::Unknown(Doubt::NoAnswer(NoAnswer::Reset)) => self.note(|measured| measured.resets += 1),
                Told::Unknown(_) => self.note(|measured| measured.unknown += 1),
            }
            if self.shared.end.is_cancelled() {
                break;
            }
            if (attempt + 1) % nodes == 0 {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lines);
    }

    /// What was measured since the last time.
    pub(crate) fn take(&self) -> anyhow::Result<Measured> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *measured, Measured::new()?))
    }

    fn note(&self, note: impl FnOnce(&mut Measured)) {
        note(&mut self.measured.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Measured {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?,
            late: 0,
            not_attempted: 0,
            retried: 0,
            unknown: 0,
            resets: 0,
            closed: 0,
            refused: 0,
        })
    }

    /// `p50 1.2 ms, p99 8.0 ms, max 80.0 ms of 15000`.
    pub(crate) fn latencies(&self) -> String {
        let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1_000.0;
        let at = |quantile| ms(self.latency.value_at_quantile(quantile));
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms of {}",
            at(0.5),
            at(0.99),
            ms(self.latency.max()),
            self.latency.len()
        )
    }
}
