//! Runs the processes: accepted events in, commands out.
//!
//! A runner tails a topic under rule R and moves its checkpoint only when every event before it is
//! completely done. A crash therefore repeats commands, under the ids they had the first time, and
//! their aggregates answer what they answered then.

pub mod checkout;
pub mod runner;
mod send;

pub use send::Backoff;
