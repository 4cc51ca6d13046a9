//! What is run: faults, load, and what is looked at.

pub(crate) mod all;
pub(crate) mod kill;
mod stage;
