//! Routes that failed: not everybody who waits asks a dead node over and over, but one of them now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use eventsourcing::ids::Epoch;
use tokio::time::Instant;

/// After the first failure.
const PAUSE: Duration = Duration::from_millis(20);
/// Each is twice as long as the one before, up to this.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// By partition.
pub(super) struct Suspects(Vec<Mutex<Option<Suspect>>>);

/// A route whose last try failed. A newer term is above suspicion.
#[derive(Clone, Copy)]
struct Suspect {
    epoch: Epoch,
    /// From then on one may try.
    again: Instant,
    pause: Duration,
}

impl Suspects {
    /// Nobody yet.
    pub(super) fn of(partitions: u32) -> Self {
        Self((0..partitions).map(|_| Mutex::default()).collect())
    }

    fn with<T>(&self, partition: u32, look: impl FnOnce(&mut Option<Suspect>) -> T) -> Option<T> {
        let suspect = self.0.get(partition as usize)?;
        Some(look(&mut suspect.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Whether to try this route now; else when. Of those who ask about a suspect one may, for all of them.
    pub(super) fn may_ask(&self, partition: u32, epoch: Epoch, now: Instant) -> Result<(), Option<Instant>> {
        let look = |suspect: &mut Option<Suspect>| match suspect {
            Some(suspect) if suspect.epoch == epoch && suspect.again > now => Err(Some(suspect.again)),
            Some(suspect) if suspect.epoch == epoch => {
                suspect.again = now + suspect.pause;
                Ok(())
            }
            Some(_) | None => Ok(()),
        };
        self.with(partition, look).unwrap_or(Ok(()))
    }

    /// It failed.
    pub(super) fn blame(&self, partition: u32, epoch: Epoch, now: Instant) {
        self.with(partition, |suspect| {
            let pause = match *suspect {
                // What was sent before the first failure fails with it: one failure, not many.
                Some(known) if known.epoch == epoch && known.again > now => return,
                Some(known) if known.epoch > epoch => return,
                Some(known) if known.epoch == epoch => (known.pause * 2).min(PAUSE_MAX),
                Some(_) | None => PAUSE,
            };
            *suspect = Some(Suspect {
                epoch,
                again: now + pause,
                pause,
            });
        });
    }

    /// It answered.
    pub(super) fn clear(&self, partition: u32, epoch: Epoch) {
        self.with(partition, |suspect| {
            if suspect.is_some_and(|known| known.epoch <= epoch) {
                *suspect = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_a_suspect_now_and_then_for_all() {
        let (suspects, now) = (Suspects::of(1), Instant::now());
        let ask = |epoch, after: Duration| suspects.may_ask(0, Epoch(epoch), now + after);
        assert_eq!(ask(1, Duration::ZERO), Ok(()));
        suspects.blame(0, Epoch(1), now);
        // A second one that was on its way already does not count.
        suspects.blame(0, Epoch(1), now);
        assert_eq!(ask(1, Duration::ZERO), Err(Some(now + PAUSE)));
        assert_eq!(ask(2, Duration::ZERO), Ok(()), "a newer term");
        assert_eq!(ask(1, PAUSE), Ok(()), "one may");
        assert_eq!(
            ask(1, PAUSE),
            Err(Some(now + PAUSE * 2)),
            "the others wait for it"
        );
        suspects.blame(0, Epoch(1), now + PAUSE * 2);
        assert_eq!(ask(1, PAUSE * 2), Err(Some(now + PAUSE * 4)), "twice as long");
        suspects.clear(0, Epoch(1));
        assert_eq!(ask(1, PAUSE * 2), Ok(()));
    }
}
