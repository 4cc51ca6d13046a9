//! What both HTTP APIs share, so that a client who knows one knows the other: problem documents,
//! strict JSON and parameters, idempotency keys, preconditions, positions, trace context, pages,
//! health, metrics, and a server with a limit on everything.
//!
//! A router of endpoints becomes a service by [`conventions::apply`], and is served by
//! [`serve::serve`].

pub mod conventions;
pub mod fallback;
mod given;
pub mod health;
pub mod idempotency;
pub mod json;
pub mod metrics;
pub mod page;
pub mod parameters;
pub mod position;
pub mod precondition;
pub mod prefer;
pub mod problem;
pub mod serve;
pub mod trace;
