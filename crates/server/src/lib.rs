//! The binary `daybook`: configuration, wiring, roles and the command line.

pub mod config;
pub mod import;
