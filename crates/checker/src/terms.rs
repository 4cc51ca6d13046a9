//! I5, written out beside R, so that a change of R does not go unnoticed.

use eventsourcing::ids::Epoch;
use eventsourcing::rule::Term;

use crate::breach::{Breach, Place};

/// The newest term that was opened so far in a partition.
#[derive(Default)]
pub(crate) struct Terms {
    newest: Option<Term>,
}

impl Terms {
    /// R says that this fence opens its term: epochs rise by one, and the last of all may come at any time, once.
    pub(crate) fn opened(&mut self, opened: Term, place: &Place) -> Option<Breach> {
        let before = self.newest.replace(opened);
        let due = before.map_or(0, |term| term.epoch.0).saturating_add(1);
        let sealed = before.is_some_and(|term| term.epoch >= Epoch::LAST);
        let rightly = opened.epoch.0 == due || opened.epoch == Epoch::LAST;
        (sealed || !rightly).then(|| Breach::EpochSkipped {
            place: place.clone(),
            before,
            opened,
        })
    }

    /// R says that this event counts: it is of the term opened last, and that is not the last of all.
    pub(crate) fn counts(&self, written: Term, place: &Place) -> Option<Breach> {
        (self.newest != Some(written) || written.epoch >= Epoch::LAST).then(|| Breach::TermReturned {
            place: place.clone(),
            written,
            newest: self.newest,
        })
    }
}

#[cfg(test)]
mod tests {
    use eventsourcing::ids::{Offset, OwnerId};
    use eventsourcing::topic::Topic;
    use uuid::Uuid;

    use super::*;

    fn term(epoch: u64, owner: u128) -> Term {
        Term {
            epoch: Epoch(epoch),
            owner: OwnerId(Uuid::from_u128(owner)),
        }
    }

    #[test]
    fn a_wrong_r_is_noticed() {
        let at = Topic::events("made", "accounts").partition(0);
        let offset = Offset(7);
        let place = Place { at, offset };
        let mut terms = Terms::default();
        assert!(terms.counts(term(1, 1), &place).is_some(), "before any fence");
        assert_eq!(terms.opened(term(1, 1), &place), None);
        assert_eq!(terms.counts(term(1, 1), &place), None);
        assert_eq!(terms.opened(term(2, 2), &place), None);
        assert!(
            matches!(
                terms.counts(term(1, 1), &place),
                Some(Breach::TermReturned { .. })
            ),
            "a zombie's"
        );
        assert!(terms.counts(term(2, 1), &place).is_some(), "a rival's");
        assert!(
            matches!(
                terms.opened(term(2, 3), &place),
                Some(Breach::EpochSkipped { .. })
            ),
            "twice the same epoch"
        );
        assert!(terms.opened(term(4, 1), &place).is_some(), "an epoch left out");
        let last = Epoch::LAST.0;
        assert_eq!(terms.opened(term(last, 9), &place), None, "the seal");
        assert!(
            terms.counts(term(last, 9), &place).is_some(),
            "an event of the seal"
        );
        assert!(terms.opened(term(last, 8), &place).is_some(), "a second seal");
        assert!(terms.opened(term(5, 1), &place).is_some(), "a fence behind it");
    }
}
