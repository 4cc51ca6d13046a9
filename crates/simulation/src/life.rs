//! Whether a node lives. Everything that goes into it or comes out of it passes here: nothing passes while
//! it is frozen, nothing ever again when it is dead. What it had begun it goes on with when it wakes up,
//! however much has changed meanwhile: a zombie.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, mpsc};

/// One incarnation of a node.
pub(crate) struct Life {
    number: usize,
    frozen: AtomicBool,
    /// Whoever waits goes on in the order of coming.
    woken: Notify,
    dead: AtomicBool,
    random: Mutex<StdRng>,
    mortal: Arc<AtomicBool>,
    /// The chance that the node dies at a gate.
    death: f64,
    /// Who buries it.
    deaths: mpsc::UnboundedSender<usize>,
}

impl Life {
    pub(crate) fn new(
        number: usize,
        seed: u64,
        mortal: Arc<AtomicBool>,
        death: f64,
        deaths: mpsc::UnboundedSender<usize>,
    ) -> Self {
        Self {
            number,
            frozen: AtomicBool::new(false),
            woken: Notify::new(),
            dead: AtomicBool::new(false),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            mortal,
            death,
            deaths,
        }
    }

    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wake(&self) {
        self.frozen.store(false, Ordering::Relaxed);
        self.woken.notify_waiters();
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    /// Nothing passes any more.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Waits while the node is frozen, for ever when it is dead.
    pub(crate) async fn pass(&self) {
        while self.is_frozen() {
            self.woken.notified().await;
        }
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// The same between the node and the world: a moment at which it may die, or take its time.
    pub(crate) async fn gate(&self) {
        let (dies, pause) = {
            let mut random = self.random.lock().expect("no holder of this lock panics");
            (random.random_bool(self.death), random.random_range(0..8_u64))
        };
        let may_die = self.mortal.load(Ordering::Relaxed) && !self.dead.load(Ordering::Relaxed);
        if dies && may_die {
            self.end();
            // Nobody buries when the world ends, and nobody needs to.
            let _ = self.deaths.send(self.number);
        }
        // Half of the time it goes on at once.
        if let Some(pause) = pause.checked_sub(4).filter(|pause| *pause > 0) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.pass().await;
    }
}
