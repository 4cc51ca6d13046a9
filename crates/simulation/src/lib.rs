//! Whole nodes on a log that misbehaves: one thread, virtual time, one seed.
//!
//! Three nodes share out the partitions of a toy bank, each with an owner, two projectors and a process. A
//! nemesis kills them at any await, freezes them and wakes them up, moves partitions in order and out of
//! order (two owners, none), sets clocks wrong and takes the log away; the log itself loses, splits, delays
//! and doubts, and so do the stores of rows and checkpoints. Clients repeat, cross their own repeats, name
//! sequences, reuse keys, read what they wrote and give up. Afterwards everything works again, everybody must
//! get an answer, every transfer must have arrived, and the [`checker`] holds what was seen against the log.
//!
//! The same seed gives the same run: `make sim SEED=7` shows it.

mod bank;
mod bug;
mod client;
mod clock;
mod gated;
mod life;
mod nemesis;
mod node;
mod profile;
mod routed;
mod run;
mod snapshot;
mod statistics;
mod sweep;
mod verdict;
mod world;

pub use bank::account::{Account, Command, Insufficient, Moved, Then};
pub use bug::{Bug, ProcessBug};
pub use run::{Run, run};
pub use statistics::Statistics;
pub use sweep::{Found, sweep};
pub use verdict::Failing;
