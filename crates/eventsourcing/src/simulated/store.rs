//! A store that misbehaves on purpose, the same way for the same seed: it is away now and then, it takes
//! its time, and it carries out what nobody waits for any more, as a database across a network does.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How badly a store behaves; probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct StoreFaults {
    /// A call fails, and nothing has happened.
    pub unavailable: f64,
    /// A change is carried out, but whoever asked is told that the store is away.
    pub unanswered: f64,
    /// The longest delay before and after a change or a look, in milliseconds.
    pub delay_ms_max: u64,
}

impl StoreFaults {
    /// A store as one wishes it.
    pub const NONE: Self = Self {
        unavailable: 0.0,
        unanswered: 0.0,
        delay_ms_max: 0,
    };

    /// A bad day.
    pub const MANY: Self = Self {
        unavailable: 0.03,
        unanswered: 0.06,
        delay_ms_max: 30,
    };
}

/// The simulated store is away.
pub(super) const AWAY: &str = "the simulated store is away";

/// State behind a store's faults. Clones share it.
pub(super) struct Store<S>(Arc<Mutex<Held<S>>>);

struct Held<S> {
    state: S,
    random: StdRng,
    faults: StoreFaults,
}

impl<S> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Send + 'static> Store<S> {
    pub(super) fn new(seed: u64, faults: StoreFaults, state: S) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(Held {
            state,
            random,
            faults,
        })))
    }

    pub(super) fn set_faults(&self, faults: StoreFaults) {
        self.held().faults = faults;
    }

    /// Looks, or changes something, at once and without a fault.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut S) -> T) -> T {
        work(&mut self.held().state)
    }

    /// The same across a network. It goes on when the caller dies.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        let store = self.clone();
        let asked = tokio::spawn(async move {
            store.delay().await;
            let (unavailable, unanswered) = store.fate();
            if unavailable {
                return Err(AWAY);
            }
            let done = store.with(work);
            store.delay().await;
            if unanswered { Err(AWAY) } else { Ok(done) }
        });
        match asked.await {
            Ok(answer) => answer,
            Err(death) if death.is_panic() => std::panic::resume_unwind(death.into_panic()),
            // The runtime ends.
            Err(_) => Err(AWAY),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<S>> {
        self.0.lock().expect("no holder of this lock panics")
    }

    fn fate(&self) -> (bool, bool) {
        let mut held = self.held();
        let StoreFaults {
            unavailable,
            unanswered,
            ..
        } = held.faults;
        (
            held.random.random_bool(unavailable),
            held.random.random_bool(unanswered),
        )
    }

    async fn delay(&self) {
        let millis = {
            let mut held = self.held();
            let most = held.faults.delay_ms_max;
            held.random.random_range(0..=most)
        };
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}
