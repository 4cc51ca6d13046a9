//! A correct event store engine: aggregates, fenced partitions, projections and processes.
//!
//! One sentence carries the design: *a record's validity is a pure function of the log before it;
//! everything else is a fold.* [`rule`] is that function, [`owner`] is the only writer that obeys it,
//! and every reader (owner, projector, process) is a fold over what it accepts.
//!
//! Without features the crate is pure: no clock, no randomness, no I/O. `runtime` adds the ports
//! and the partition owner, `testing` the simulated log and the contract suite of all logs.

pub mod aggregate;
pub mod codec;
pub mod command;
pub mod given;
pub mod ids;
pub mod memory;
pub mod position;
pub mod process;
pub mod projection;
pub mod record;
pub mod rule;
pub mod snapshot;
pub mod states;
pub mod topic;

#[cfg(feature = "runtime")]
pub mod assignment;
#[cfg(feature = "runtime")]
pub mod checkpoint;
#[cfg(feature = "runtime")]
pub mod clock;
#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "runtime")]
pub mod copy;
#[cfg(feature = "runtime")]
pub mod dispatch;
#[cfg(feature = "runtime")]
pub mod fan_out;
#[cfg(feature = "runtime")]
pub mod log;
#[cfg(feature = "runtime")]
pub mod owner;
#[cfg(feature = "runtime")]
pub mod readers;
#[cfg(feature = "runtime")]
pub mod repartition;
#[cfg(feature = "runtime")]
pub mod routes;
#[cfg(feature = "testing")]
pub mod simulated;
#[cfg(feature = "runtime")]
pub mod state_table;
