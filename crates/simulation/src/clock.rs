//! The clock of a node, which jumps, and its ids, drawn from the seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use eventsourcing::clock::Environment;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

/// The furthest a clock jumps, either way.
const JUMP_SECONDS_MAX: i64 = 3 * 24 * 60 * 60;

/// See the module.
pub(crate) struct JumpingClock {
    started: Instant,
    ahead_seconds: AtomicI64,
    random: Mutex<StdRng>,
}

impl JumpingClock {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            started: Instant::now(),
            ahead_seconds: AtomicI64::new(0),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    /// From now on it shows another time; returns how many seconds it is ahead of the true one.
    pub(crate) fn jump(&self) -> i64 {
        let mut random = self.random.lock().expect("no holder of this lock panics");
        let ahead = random.random_range(-JUMP_SECONDS_MAX..=JUMP_SECONDS_MAX);
        self.ahead_seconds.store(ahead, Ordering::Relaxed);
        ahead
    }
}

impl Environment for JumpingClock {
    fn now(&self) -> OffsetDateTime {
        let ahead = Duration::seconds(self.ahead_seconds.load(Ordering::Relaxed));
        // Far enough from the epoch to jump back.
        OffsetDateTime::UNIX_EPOCH + Duration::weeks(2_000) + self.started.elapsed() + ahead
    }

    fn fresh(&self) -> Uuid {
        let mut random = self.random.lock().expect("no holder of this lock panics");
        Uuid::from_u128(random.random())
    }
}
