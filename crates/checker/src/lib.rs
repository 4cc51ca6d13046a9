//! What clients saw, and whether the log agrees.
//!
//! A [`Recorder`] notes what every client asked and was told; [`check`] holds that history against the
//! log, read by anyone, and says which of the invariants I1 to I8 it breaks. The checker shares nothing
//! with the owner but R and the codec, which foreign readers use too. It serves the simulation, where
//! the end of the log is known at every question and answer, and real processes over HTTP, where it is not.
//!
//! ```text
//! I1  what was acknowledged is in the log, there and under that sequence
//! I2  what was definitely refused is not, and the refusal was true at some moment of its window
//! I3  no command makes two events; a repeat gets the first outcome
//! I4  sequences have no gap, and each event is what `decide` yields on its prefix
//! I5  epochs rise by one, and nothing of an earlier term counts after a later fence
//! I6  rows are the fold of the log up to their checkpoint              (`check_view`, `check_tally`)
//! I7  checkpoints only rise
//! I8  a read that carries a position shows nothing older
//! ```

mod answers;
mod breach;
mod decisions;
mod history;
mod ledger;
mod order;
mod reading;
mod recorder;
mod report;
mod rows;
mod terms;

pub use breach::{Breach, Invariant, Place};
pub use history::{Attempt, CheckpointMove, Commands, History, Moment, Outcome, Question, Read};
pub use reading::read_topic;
pub use recorder::{Pending, Recorder};
pub use report::{Findings, Report};
pub use rows::{Checkpoints, check_tally, check_view, fold_tally, fold_view};

use eventsourcing::aggregate::Aggregate;
use eventsourcing::record::Stored;

use ledger::Ledger;

/// Holds what clients saw against `log`: all records of the topic of `A`, each partition's in any order.
/// `commands` says whether the history holds every command that was ever sent to the topic.
#[must_use]
pub fn check<A: Aggregate>(history: &History<A>, log: &[Stored], commands: Commands) -> Findings {
    let mut breaches = Vec::new();
    let ledger = Ledger::<A::Event>::read(log, &mut breaches);
    answers::check(history, &ledger, &mut breaches);
    order::check(history, &ledger, &mut breaches);
    decisions::check(history, &ledger, commands, &mut breaches);
    reading::check(history, &ledger, &mut breaches);
    Findings {
        report: Report::of(history, &ledger),
        breaches,
    }
}
