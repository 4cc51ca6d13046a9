//! What the shop's processes do: accepted events in, commands out. What runs them is the engine's
//! (`eventsourcing::process::runner`): a crash repeats commands, under the ids they had the first time, and
//! their aggregates answer what they answered then.

pub mod checkout;
