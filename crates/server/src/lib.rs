//! The binary `daybook`: configuration, wiring, roles and the command line.

pub mod admin;
pub mod cli;
pub mod config;
pub mod copy;
pub mod import;
pub mod maintenance;
pub mod parked;
pub mod parts;
pub mod read_log;
pub mod rebuild;
pub mod repartition;
pub mod roles;
pub mod supervisor;
pub mod telemetry;
pub mod up;

/// What a shell takes for "ended by Ctrl-C".
pub const INTERRUPTED_EXIT_CODE: u8 = 130;
