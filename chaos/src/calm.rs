//! I10: soon after the last fault everything is as it was before the first.

use std::time::{Duration, Instant};

use eventsourcing::log::Log;

use crate::cluster::Cluster;
use crate::lag;
use crate::workload::{Shared, Snapshot};

/// How much of what was answered before is to be answered again.
const ACCEPTANCE_MIN: f64 = 0.9;
/// What acceptance is measured over.
const WINDOW: Duration = Duration::from_secs(4);
/// How much later a reader may come and still be judged for what it shows.
const LATE_MAX: Duration = Duration::from_mins(3);
const STEP: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);

/// How the load fares.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fare {
    /// The share of attempts with a definite answer of the shop: accepted, or refused by the rules.
    pub(crate) share: f64,
    /// Accepted per second.
    pub(crate) rate: f64,
}

impl Fare {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 attempts")]
    fn of(counts: &Snapshot, window: Duration) -> Self {
        let answered = counts.accepted + counts.refused;
        let all = answered + counts.not_attempted + counts.unknown;
        Self {
            share: if all == 0 {
                0.0
            } else {
                answered as f64 / all as f64
            },
            rate: counts.accepted as f64 / window.as_secs_f64(),
        }
    }

    /// Of the next so many seconds.
    pub(crate) async fn over(shared: &Shared, window: Duration) -> Self {
        let (before, started) = (shared.record.counts.now(), Instant::now());
        tokio::time::sleep(window).await;
        Self::of(&shared.record.counts.now().since(&before), started.elapsed())
    }
}

/// Waits until acceptance is as it was, measured over a window that begins after the last fault. How long that
/// took from the fault to the end of the window, and how the load fared in it; an error when it takes too long.
pub(crate) async fn accepts_again(
    shared: &Shared,
    before: Fare,
    fault: Instant,
    limit: Duration,
) -> Result<(Duration, Fare), String> {
    loop {
        let fare = Fare::over(shared, WINDOW).await;
        let took = fault.elapsed();
        if fare.share >= before.share * ACCEPTANCE_MIN && took <= limit {
            return Ok((took, fare));
        }
        if took > limit {
            return Err(format!(
                "I10: {took:?} after the last fault {:.1} % are answered, {:.1} % were before",
                fare.share * 100.0,
                before.share * 100.0
            ));
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Waits until no reader is behind: later than `limit` is a breach, but whoever is late may yet be right. How
/// long it took from the fault.
pub(crate) async fn nobody_is_behind(
    cluster: &Cluster,
    log: &dyn Log,
    fault: Instant,
    limit: Duration,
) -> (Duration, Option<String>) {
    let mut breach = None;
    loop {
        let behind = lag::lag(log, &cluster.database.url).await;
        let took = fault.elapsed();
        if let Ok(0) = behind {
            return (took, breach);
        }
        if took > limit && breach.is_none() {
            breach = Some(format!("I10: lag is {behind:?} {took:?} after the last fault"));
        }
        if took > limit + LATE_MAX {
            return (took, breach);
        }
        tokio::time::sleep(LOOK).await;
    }
}
