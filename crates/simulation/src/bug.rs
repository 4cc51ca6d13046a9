//! Known bugs, one at a time. A simulation that finds none of them proves nothing.

use eventsourcing::owner::SeededBug;
use eventsourcing::simulated::CheckpointBug;

/// Known ways to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Of the owner.
    Owner(SeededBug),
    /// Of where a projection keeps rows and checkpoints.
    Projection(CheckpointBug),
    /// Of a process.
    Process(ProcessBug),
}

/// Known ways to get a process wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessBug {
    /// Move the checkpoint before the commands have an outcome.
    CheckpointFirst,
    /// Draw new command ids at each try.
    FreshIds,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 23] = [
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
        Self::Owner(SeededBug::EvictedEarly),
        Self::Owner(SeededBug::ColdMeansNew),
        Self::Projection(CheckpointBug::NotCompared),
        Self::Projection(CheckpointBug::NotAtomic),
        Self::Projection(CheckpointBug::CheckpointFirst),
        Self::Process(ProcessBug::CheckpointFirst),
        Self::Process(ProcessBug::FreshIds),
    ];

    /// The bug of this name, as in `Owner(NoBarrier)` or, where that is clear, `NoBarrier`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| {
            let text = format!("{bug:?}");
            text == name || text.ends_with(&format!("({name})"))
        })
    }

    pub(crate) const fn of_owner(self) -> Option<SeededBug> {
        match self {
            Self::Owner(bug) => Some(bug),
            Self::Projection(_) | Self::Process(_) => None,
        }
    }

    pub(crate) const fn of_projection(self) -> Option<CheckpointBug> {
        match self {
            Self::Projection(bug) => Some(bug),
            Self::Owner(_) | Self::Process(_) => None,
        }
    }

    pub(crate) const fn of_process(self) -> Option<ProcessBug> {
        match self {
            Self::Process(bug) => Some(bug),
            Self::Owner(_) | Self::Projection(_) => None,
        }
    }
}
