//! Folding ahead: the rows of a batch are folded upon those of the batches before it while these are still being written.
//!
//! It supposes that nobody else has a say in the rows. That is so while the checkpoints move as they should, nothing is
//! parked and nothing skipped; whoever writes a batch looks, and folds it plainly, from the table, where it is not so.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use eventsourcing::readers::Event;
use sqlx::PgConnection;
use tokio::sync::{Mutex, watch};

use super::fold::Rows;
use super::{Projection, ProjectionError, schema};

/// Rows kept for the next batches, roughly; then those that are written are loaded again.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is folded ahead in one turn of a projector.
#[derive(Default)]
pub(super) struct Ahead {
    kept: Mutex<Option<Kept>>,
    written: Written,
}

/// The rows that the last batches touched.
struct Kept {
    rows: Box<dyn Rows>,
    /// Batches so far.
    batches: u64,
    /// Those before these rows were begun.
    taken: u64,
    /// What [`Written::plainly`] was when these rows were begun.
    since: u64,
    /// Whether a batch was not folded upon them.
    stale: bool,
}

/// What became of the batches.
#[derive(Default)]
struct Written {
    batches: watch::Sender<u64>,
    /// Those that were folded plainly: what was folded ahead of one of them is void.
    plainly: AtomicU64,
    /// Whether anything was skipped or parked the last time.
    beside: AtomicBool,
}

/// A batch's rows, to be written.
pub(super) struct Folded {
    rows: Box<dyn Rows>,
    since: u64,
}

impl Ahead {
    /// Begins a turn: nothing is known of the rows.
    pub(super) async fn begin(&self) {
        *self.kept.lock().await = None;
        self.written.batches.send_replace(0);
        self.written.plainly.store(0, Ordering::Relaxed);
        self.written.beside.store(false, Ordering::Relaxed);
    }

    /// Waits until the next batch can be folded ahead: what is not written yet cannot be loaded.
    pub(super) async fn ready(&self, projection: &Projection) {
        let mut lent = self.kept.lock().await;
        let kept = lent.get_or_insert_with(|| Kept::begin(projection, 0, 0));
        if self.written.plainly.load(Ordering::Relaxed) != kept.since || kept.stale {
            let mut written = self.written.batches.subscribe();
            let all = written.wait_for(|written| *written == kept.batches).await;
            drop(all);
            let plainly = self.written.plainly.load(Ordering::Relaxed);
            *kept = Kept::begin(projection, kept.batches, plainly);
        } else if kept.rows.bytes() > KEPT_BYTES_MAX {
            kept.rows.forget(*self.written.batches.borrow() - kept.taken);
        }
    }

    /// Folds the next batch, when it is [`Ahead::ready`]; nothing where that can only be done plainly.
    pub(super) async fn fold(
        &self,
        connection: &mut PgConnection,
        projection: &Projection,
        version: i32,
        events: &[Event],
    ) -> Result<Option<Folded>, ProjectionError> {
        let mut lent = self.kept.lock().await;
        let Some(kept) = &mut *lent else {
            return Ok(None);
        };
        kept.batches += 1;
        kept.stale = true;
        if self.written.beside.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let schema = schema(projection.name.as_str(), version);
        kept.rows.load(connection, &schema, events).await?;
        if !kept.rows.fold(events, &mut HashSet::new()).is_empty() {
            return Ok(None);
        }
        kept.stale = false;
        Ok(Some(Folded {
            rows: kept.rows.take(),
            since: kept.since,
        }))
    }

    /// The rows of a batch, when they hold.
    pub(super) fn holding(&self, folded: Option<Folded>, beside: bool) -> Option<Box<dyn Rows>> {
        let plainly = self.written.plainly.load(Ordering::Relaxed);
        let holds = |folded: &Folded| !beside && folded.since == plainly;
        folded.filter(holds).map(|folded| folded.rows)
    }

    /// The next batch is written; `plainly` or as it was folded.
    pub(super) fn written(&self, plainly: bool, beside: bool) {
        self.written.plainly.fetch_add(plainly.into(), Ordering::Relaxed);
        self.written.beside.store(beside, Ordering::Relaxed);
        self.written.batches.send_modify(|batches| *batches += 1);
    }
}

impl Kept {
    fn begin(projection: &Projection, batches: u64, since: u64) -> Self {
        Self {
            rows: projection.fold.rows(false),
            batches,
            taken: batches,
            since,
            stale: false,
        }
    }
}
