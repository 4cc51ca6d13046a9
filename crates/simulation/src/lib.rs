//! Whole nodes on a log that misbehaves: one thread, virtual time, one seed.
//!
//! Three nodes share out the partitions of a toy bank. A nemesis kills them at any await, freezes them and
//! wakes them up, moves partitions in order and out of order (two owners, none), sets clocks wrong and takes
//! the log away; the log itself loses, splits, delays and doubts. Clients repeat, cross their own repeats,
//! name sequences, reuse keys and give up. Afterwards everything works again, everybody must get an answer,
//! and the [`checker`] holds what was seen against the log.
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
mod run;
mod statistics;
mod sweep;
mod verdict;
mod world;

pub use bank::account::{Account, Command, Moved, Refusal};
pub use bug::Bug;
pub use run::{Run, run};
pub use statistics::Statistics;
pub use sweep::{Found, sweep};
pub use verdict::Failing;
