//! What is run: faults, load, and what is looked at.

pub(crate) mod all;
pub(crate) mod kill;
pub(crate) mod rolling;
mod stage;
pub(crate) mod zombie;
