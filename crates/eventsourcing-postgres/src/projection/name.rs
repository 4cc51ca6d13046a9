//! What a projection is called: by the code, by PostgreSQL, and by whoever runs a Daybook.

use std::fmt;
use std::sync::Arc;

use eventsourcing::snapshot;
use serde::{Serialize, Serializer};

use super::filter::Filter;

/// A projection's name: a constant of the code, or that of a snapshot, which is derived from one and an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    base: &'static str,
    snapshot: Option<Arc<Derived>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Derived {
    stored: String,
    instant: String,
}

impl Name {
    pub(super) const fn of(base: &'static str) -> Self {
        Self { base, snapshot: None }
    }

    /// Of the snapshot through this filter.
    pub(super) fn filtered(&self, filter: &Filter) -> Self {
        let derived = Derived {
            stored: snapshot::name(self.base, filter.as_of),
            instant: filter.instant(),
        };
        Self {
            base: self.base,
            snapshot: Some(Arc::new(derived)),
        }
    }

    /// As PostgreSQL has it, in `daybook.projections` and as the beginning of its schemas' names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.snapshot
            .as_ref()
            .map_or(self.base, |derived| derived.stored.as_str())
    }

    /// The read model's, also of a snapshot of it.
    #[must_use]
    pub const fn base(&self) -> &'static str {
        self.base
    }

    /// A snapshot's instant, RFC 3339.
    #[must_use]
    pub fn as_of(&self) -> Option<&str> {
        self.snapshot.as_ref().map(|derived| derived.instant.as_str())
    }
}

/// As the command line takes it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_of() {
            None => f.write_str(self.base),
            Some(instant) => write!(f, "{} --as-of {instant}", self.base),
        }
    }
}

/// As PostgreSQL has it.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
