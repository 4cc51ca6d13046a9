//! Known bugs, one at a time. A simulation that finds none of them proves nothing.

use eventsourcing::owner::SeededBug;

/// Known ways to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Of the owner.
    Owner(SeededBug),
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Owner(SeededBug::AckBeforeDelivery),
        Self::Owner(SeededBug::FencingIgnored),
        Self::Owner(SeededBug::FirstOffsetOnly),
        Self::Owner(SeededBug::SplitAllVoid),
        Self::Owner(SeededBug::SpeculationKept),
        Self::Owner(SeededBug::DedupeDropped),
        Self::Owner(SeededBug::MemoryNotReplayed),
        Self::Owner(SeededBug::RepeatInFlightDecided),
        Self::Owner(SeededBug::DigestIgnored),
        Self::Owner(SeededBug::IfMatchIgnored),
        Self::Owner(SeededBug::StaleRefusal),
        Self::Owner(SeededBug::RefusedAtOnce),
        Self::Owner(SeededBug::UnknownMeansLost),
        Self::Owner(SeededBug::NoBarrier),
        Self::Owner(SeededBug::FenceAssumed),
        Self::Owner(SeededBug::ServesBeforeFence),
    ];

    /// The bug of this name, as in `Owner(NoBarrier)` or `NoBarrier`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| {
            let text = format!("{bug:?}");
            text == name || text.ends_with(&format!("({name})"))
        })
    }

    /// What the owner is to get wrong.
    pub(crate) const fn of_owner(self) -> SeededBug {
        match self {
            Self::Owner(bug) => bug,
        }
    }
}
