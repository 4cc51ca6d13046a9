//! Known bugs, for tests that show that their checkers notice. Without the feature `seeded-bugs` no owner has
//! any, and the compiler leaves out whatever asks for one.

/// Known ways to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededBug {
    /// Answer before the log has acknowledged.
    AckBeforeDelivery,
    /// Take any acknowledged offsets for contiguous ones, so a fence in between goes unnoticed.
    FencingIgnored,
    /// Look at the first offset of a batch only, although the log may split it.
    FirstOffsetOnly,
    /// Tell a whole batch that nothing was written, although a part of it lies before the fence.
    SplitAllVoid,
    /// Keep the speculative state of a batch that is void.
    SpeculationKept,
    /// Forget which commands were accepted.
    DedupeDropped,
    /// Fold states on replay, but not which commands were accepted.
    MemoryNotReplayed,
    /// Decide a command again whose first copy is still in flight.
    RepeatInFlightDecided,
    /// Take another request under a known key for a repeat.
    DigestIgnored,
    /// Decide whatever the sequence that `If-Match` names.
    IfMatchIgnored,
    /// Answer a refusal without looking whether the state it rests on is still the newest.
    StaleRefusal,
    /// Answer a refusal before the batches it rests on are in the log.
    RefusedAtOnce,
    /// Take an unknown outcome for "not written".
    UnknownMeansLost,
    /// Resolve an unknown outcome by reading to the high watermark, without a barrier.
    NoBarrier,
    /// Forget aggregates that the table of states does not have yet.
    EvictedEarly,
    /// Take an aggregate that is not in memory for a new one.
    ColdMeansNew,
    /// Take a fence whose outcome is unknown for valid and ours, without reading.
    FenceAssumed,
    /// Take an acknowledged fence for valid and ours, without reading what came before it.
    ServesBeforeFence,
}
