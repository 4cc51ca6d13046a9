//! Many seeds on several threads; each run has one thread of its own.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Bug;
use crate::run::run;
use crate::statistics::Statistics;
use crate::verdict::Failing;

/// The first seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub failing: Box<Failing>,
}

/// Runs all `seeds`, or up to the first that fails; `done` is told after each good one.
pub fn sweep(
    seeds: Range<u64>,
    bug: Option<Bug>,
    threads: usize,
    done: impl Fn() + Sync,
) -> Result<Statistics, Found> {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Ok(Statistics::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let judged = run(seed, bug).judge();
            let mut sum = sum.lock().expect("no holder of this lock panics");
            match (judged, &mut *sum) {
                (Ok(happened), Ok(sum)) => {
                    *sum += happened;
                    done();
                }
                (Err(failing), Ok(_)) => {
                    // Lower seeds have been begun, and are waited for.
                    next.store(seeds.end, Ordering::Relaxed);
                    *sum = Err(Found {
                        seed,
                        failing: Box::new(failing),
                    });
                }
                (Err(failing), Err(found)) if seed < found.seed => {
                    *found = Found {
                        seed,
                        failing: Box::new(failing),
                    };
                }
                (Ok(_) | Err(_), Err(_)) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    sum.into_inner().expect("no holder of this lock panics")
}
