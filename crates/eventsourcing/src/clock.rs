//! Time and ids are ports: production reads the system, tests say what they are.

use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;
use uuid::Uuid;

/// Where a component gets time and fresh ids from.
pub trait Environment: Send + Sync + 'static {
    /// The present time, UTC.
    fn now(&self) -> OffsetDateTime;
    /// A fresh id, never given out before.
    fn fresh(&self) -> Uuid;
}

/// The system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws ids")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A fixed time and counted ids, the same in every run.
#[derive(Debug, Default)]
pub struct Counted(AtomicU64);

impl Environment for Counted {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn fresh(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}
