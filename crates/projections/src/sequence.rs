//! R's assertion on the read side: an aggregate's events come without gap and without repeat.

use eventsourcing::aggregate::Recorded;
use eventsourcing::projection::FoldError;

/// The event's sequence, when it follows `last` (0 for no row).
pub(crate) fn follows<E>(last: i64, event: &Recorded<E>) -> Result<i64, FoldError> {
    let sequence = event.sequence().0.cast_signed();
    if sequence == last + 1 {
        return Ok(sequence);
    }
    Err(FoldError::new(format!(
        "sequence {sequence} of {} follows {last}",
        event.aggregate
    )))
}

/// An event of an aggregate without a row.
pub(crate) fn orphan<E>(event: &Recorded<E>) -> FoldError {
    FoldError::new(format!("{} has an event but was never created", event.aggregate))
}
