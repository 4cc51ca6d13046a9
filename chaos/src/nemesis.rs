//! What goes wrong: one fault after another, sometimes two at once, drawn from a seed.

mod fault;
mod schedule;
mod strike;

pub(crate) use fault::{Fault, Kind};
pub(crate) use schedule::Schedule;
pub(crate) use strike::{Done, Nemesis};
