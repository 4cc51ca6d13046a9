//! What happened in runs, so that one sees that it did.

use std::fmt;
use std::ops::AddAssign;

use checker::Report;

/// Counts of one run or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Runs.
    pub seeds: u64,
    /// Nodes killed.
    pub crashes: u64,
    /// Nodes stopped and started anew.
    pub restarts: u64,
    /// Nodes frozen.
    pub freezes: u64,
    /// Partitions moved, or taken from whoever had them.
    pub rebalances: u64,
    /// Of these, with two nodes that both believed for a while.
    pub duels: u64,
    /// Clocks put forward or back.
    pub clock_jumps: u64,
    /// Times the log was away for everybody.
    pub log_away: u64,
    /// What the checker counted.
    pub checked: Report,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        let Self {
            seeds,
            crashes,
            restarts,
            freezes,
            rebalances,
            duels,
            clock_jumps,
            log_away,
            checked,
        } = other;
        self.seeds += seeds;
        self.crashes += crashes;
        self.restarts += restarts;
        self.freezes += freezes;
        self.rebalances += rebalances;
        self.duels += duels;
        self.clock_jumps += clock_jumps;
        self.log_away += log_away;
        self.checked += checked;
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            crashes,
            restarts,
            freezes,
            rebalances,
            duels,
            clock_jumps,
            log_away,
            checked,
        } = self;
        write!(
            f,
            "{seeds} seeds: {crashes} crashes, {restarts} restarts, {freezes} freezes, "
        )?;
        write!(
            f,
            "{rebalances} rebalances ({duels} with two owners), {clock_jumps} clock jumps, "
        )?;
        write!(f, "{log_away} times no log; {checked}")
    }
}
