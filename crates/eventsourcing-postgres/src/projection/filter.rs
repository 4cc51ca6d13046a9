//! Which events of the log a snapshot folds: those that happened before an instant, of all types or of some. Each
//! event is judged by itself, so it makes no difference where a build was interrupted and taken up.

use eventsourcing::readers::Event;
use eventsourcing::snapshot;
use time::OffsetDateTime;

use super::fold::{Fold, Told};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// An event counts when it happened strictly before this.
    pub as_of: OffsetDateTime,
    /// Only events of these types; of all types without.
    pub only: Option<Vec<&'static str>>,
}

impl Filter {
    /// The instant, as people and URLs have it: UTC, RFC 3339.
    #[must_use]
    pub fn instant(&self) -> String {
        snapshot::instant(self.as_of)
    }

    /// What a fold through it adds to the fold's fingerprint.
    pub(super) fn fingerprint(&self) -> String {
        let only = match &self.only {
            None => String::new(),
            Some(types) => format!(", only {}", types.join(" ")),
        };
        format!(" as of {}{only}", self.instant())
    }

    /// Whether an event is folded. One that nobody can read is: it is parked then and told of, not passed over.
    pub(super) fn admits(&self, told: Option<&Told>) -> bool {
        told.is_none_or(|told| self.wants(told) && told.happened_at < self.as_of)
    }

    /// Whether an event is of a type that is asked for.
    pub(super) fn wants(&self, told: &Told) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|types| types.contains(&told.event_type))
    }
}

/// What a filter has let through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Admitted {
    /// Events that counted.
    pub(crate) events: u64,
    /// When the first event of the types asked for happened, whether it counted or not.
    pub(crate) first: Option<OffsetDateTime>,
}

impl Admitted {
    /// Keeps of `events` what counts.
    pub(super) fn keep(&mut self, filter: &Filter, fold: &dyn Fold, events: &mut Vec<Event>) {
        events.retain(|event| {
            let told = fold.told(event);
            if let Some(told) = told.as_ref().filter(|told| filter.wants(told)) {
                let earlier = self.first.is_none_or(|first| told.happened_at < first);
                if earlier {
                    self.first = Some(told.happened_at);
                }
            }
            let admitted = filter.admits(told.as_ref());
            self.events += u64::from(admitted);
            admitted
        });
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_event_counts_strictly_before_and_one_that_nobody_can_read_always() {
        let at = |happened_at| Told {
            happened_at,
            event_type: "a",
        };
        let instant = datetime!(2011-06-30 00:00 UTC);
        let all = Filter {
            as_of: instant,
            only: None,
        };
        assert!(all.admits(Some(&at(datetime!(2011-06-29 23:59:59.999_999_999 UTC)))));
        assert!(!all.admits(Some(&at(instant))));
        assert!(all.admits(None));
        let some = Filter {
            only: Some(vec!["b"]),
            ..all
        };
        assert!(!some.admits(Some(&at(datetime!(2011-01-01 00:00 UTC)))));
    }
}
