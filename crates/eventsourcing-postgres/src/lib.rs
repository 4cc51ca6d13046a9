//! PostgreSQL below the engine: the event log of the embedded default, and the read side of every
//! Daybook: checkpoints, projections, rebuild.

pub mod assignment;
mod deadline;
pub mod generations;
pub mod log;
pub mod migrate;
pub mod process;
pub mod projection;
pub mod rebuild;
pub mod states;
