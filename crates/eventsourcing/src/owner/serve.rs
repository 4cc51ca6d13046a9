//! Serving a partition: decide, append, land; one batch in flight, the next one being decided.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::aggregate::Aggregate;
use crate::command::Unavailable;
use crate::ids::Offset;
use crate::log::{Appended, Bounds, LogError};

use super::batch::Batch;
use super::book::Found;
use super::partition::Partition;
use super::{OwnerError, SeededBug};

/// How long an owner believes, without a word from the log, that nobody has come after it. What it answers is right all the
/// same, but one that nobody asks would not notice, and be named nowhere: the routes say who fenced last.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Why serving ended.
pub(super) enum Ended {
    /// The supervisor wants it so; nothing is in flight.
    Released,
    /// A fence of another owner was read.
    Deposed,
    /// The table of states that memory rests on is gone.
    Reopen,
}

/// What came back from the log.
pub(super) enum Landed {
    Appended(Appended),
    /// The answer to "is my state still the newest?", asked for a batch of refusals only.
    Checked(Result<Bounds, LogError>),
}

/// The batch in flight.
pub(super) struct Flight<A: Aggregate> {
    pub(super) batch: Batch<A>,
    pub(super) landing: Pin<Box<dyn Future<Output = Landed> + Send>>,
    pub(super) started: Instant,
}

/// The landing of the batch in flight; never, when there is none.
async fn landing<A: Aggregate>(flight: &mut Option<Flight<A>>) -> Landed {
    match flight {
        Some(flight) => flight.landing.as_mut().await,
        None => std::future::pending().await,
    }
}

impl<A: Aggregate> Partition<A> {
    pub(super) async fn serve(&mut self) -> Result<Ended, OwnerError> {
        let mut deciding = Batch::default();
        let mut flight: Option<Flight<A>> = None;
        let mut look = look_due();
        loop {
            while self.has_room(&deciding)
                && let Some(message) = self.cold.ready()
            {
                self.take(message, &mut flight, &mut deciding);
            }
            if flight.is_none() {
                if !deciding.is_empty() {
                    flight = self.send(mem::take(&mut deciding));
                } else if !self.wanted() {
                    return Ok(Ended::Released);
                }
            }
            self.cold.look_up(self.states.as_ref().zip(self.book.table));
            let open = self.wanted() && self.has_room(&deciding) && self.cold_has_room();
            tokio::select! {
                biased;
                landed = landing(&mut flight), if flight.is_some() => {
                    let Some(Flight { batch, started, .. }) = flight.take() else { continue };
                    if !batch.is_empty() {
                        metrics::histogram!("daybook_owner_append_seconds").record(started.elapsed().as_secs_f64());
                    }
                    if let Some(ended) = self.land(batch, landed, &mut deciding).await? {
                        return Ok(ended);
                    }
                    self.evict(flight.as_ref(), &deciding);
                    look = look_due();
                }
                looked_up = self.cold.looked_up() => {
                    if let Some(ended) = self.warm(looked_up)? {
                        return Ok(ended);
                    }
                }
                opened = self.upkeep.opened() => self.adopt(opened),
                message = self.inbox.recv(), if open => {
                    let Some(message) = message else { return Ok(Ended::Released) };
                    self.take(message, &mut flight, &mut deciding);
                    // Whoever is about to send does so first: one turn for many commands, not one each.
                    tokio::task::yield_now().await;
                    while self.has_room(&deciding) && self.cold_has_room() {
                        let Ok(message) = self.inbox.try_recv() else { break };
                        self.take(message, &mut flight, &mut deciding);
                    }
                }
                changed = self.role.changed() => {
                    if changed.is_err() {
                        return Ok(Ended::Released);
                    }
                }
                () = tokio::time::sleep_until(look), if flight.is_none() => {
                    look = look_due();
                    // Nobody's refusals: only the question whether the state is still the newest.
                    flight = self.send(Batch::default());
                }
            }
        }
    }

    fn has_room(&self, deciding: &Batch<A>) -> bool {
        let config = &self.settings.config;
        deciding.held.len() < config.batch_commands_max && deciding.bytes < config.batch_bytes_max
    }

    /// Whoever waits for a look-up is as much of a burden as whoever waits in a batch.
    fn cold_has_room(&self) -> bool {
        self.cold.len() < self.settings.config.batch_commands_max
    }

    /// Sends a batch on its way. A batch of refusals only asks whether its state is still the newest.
    fn send(&self, mut batch: Batch<A>) -> Option<Flight<A>> {
        let log = std::sync::Arc::clone(&self.settings.log);
        let at = self.at.clone();
        if batch.records.is_empty() {
            if self.settings.config.has(SeededBug::StaleRefusal) {
                batch.settle(&self.at, &Found::new(), Unavailable::NoOwner);
                return None;
            }
            let landing = Box::pin(async move { Landed::Checked(log.bounds(&at).await) });
            return Some(Flight {
                batch,
                landing,
                started: now(),
            });
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
        metrics::histogram!("daybook_owner_batch_records").record(batch.records.len() as f64);
        if self.settings.config.has(SeededBug::AckBeforeDelivery) {
            self.answer_too_early(&mut batch);
        }
        // The batch keeps count of its records by its entries; the log gets the records themselves.
        let records = mem::take(&mut batch.records);
        let landing = Box::pin(async move { Landed::Appended(log.append(&at, records).await) });
        Some(Flight {
            batch,
            landing,
            started: now(),
        })
    }

    /// [`SeededBug::AckBeforeDelivery`].
    fn answer_too_early(&self, batch: &mut Batch<A>) {
        let mut found = Found::new();
        for entry in batch.entries.values() {
            for fresh in &entry.fresh {
                let offset = Offset(self.book.next.0 + fresh.record as u64);
                let (command, digest, sequence) = (fresh.command, fresh.digest, fresh.sequence);
                let early = crate::memory::Remembered {
                    command,
                    digest,
                    sequence,
                    offset,
                };
                found.insert(command, (early, fresh.term));
            }
        }
        let held = mem::take(&mut batch.held);
        let early = Batch {
            held,
            ..Batch::default()
        };
        early.settle(&self.at, &found, Unavailable::NoOwner);
    }
}

fn look_due() -> tokio::time::Instant {
    tokio::time::Instant::now() + LOOK_INTERVAL
}

fn now() -> Instant {
    Instant::now()
}
