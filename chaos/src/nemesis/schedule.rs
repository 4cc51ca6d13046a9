//! The order of faults: the same seed gives the same one.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::proxy::{Passage, Passages};

use super::fault::{Fault, Kind};
use crate::cluster::{Link, NODES};

/// What goes wrong next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Quiet before it.
    pub(crate) calm: Duration,
    pub(crate) fault: Fault,
    /// Another one that begins so much later, while the first lasts.
    pub(crate) another: Option<(Duration, Fault)>,
}

/// Draws steps for ever.
pub(crate) struct Schedule {
    random: StdRng,
    session: Duration,
    /// The kinds that are still to come before any comes again: a short run has some of each.
    bag: Vec<usize>,
}

/// Each kind as often as it comes in a bag. Cuts and blocks are of three links each.
const BAG: [usize; 14] = [0, 0, 1, 1, 2, 3, 4, 5, 5, 6, 6, 6, 6, 7];

impl Schedule {
    pub(crate) fn new(seed: u64, session: Duration) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            session,
            bag: Vec::new(),
        }
    }

    fn kind(&mut self) -> usize {
        if self.bag.is_empty() {
            self.bag = BAG.to_vec();
        }
        let drawn = self.random.random_range(0..self.bag.len());
        self.bag.swap_remove(drawn)
    }

    fn seconds(&mut self, range: std::ops::Range<f64>) -> Duration {
        Duration::from_secs_f64(self.random.random_range(range))
    }

    fn fault(&mut self) -> Fault {
        let node = self.random.random_range(0..NODES);
        let link = Link::ALL[self.random.random_range(0..Link::ALL.len())];
        let session = self.session.as_secs_f64();
        let (kind, lasts) = match self.kind() {
            0 => (Kind::Kill(node), self.seconds(0.5..4.0)),
            1 => (Kind::Freeze(node), self.seconds(session + 1.0..session + 5.0)),
            2 => (Kind::Terminate(node), self.seconds(0.0..2.0)),
            3 => (Kind::Broker, self.seconds(0.1..4.0)),
            4 => (Kind::Database, self.seconds(0.1..4.0)),
            5 => (Kind::Cut(node, link), self.seconds(0.0..2.0)),
            6 => {
                let passages = match self.random.random_range(0..3) {
                    0 => Passages::both(Passage::Blocked),
                    1 => Passages {
                        there: Passage::Blocked,
                        back: Passage::Open,
                    },
                    _ => Passages {
                        there: Passage::Open,
                        back: Passage::Blocked,
                    },
                };
                (
                    Kind::Block(node, link, passages),
                    self.seconds(1.0..session + 5.0),
                )
            }
            _ => {
                let by = Duration::from_millis(self.random.random_range(20..300));
                (Kind::Delay(node, link, by), self.seconds(2.0..8.0))
            }
        };
        Fault { kind, lasts }
    }

    fn step(&mut self) -> Step {
        let (calm, fault) = (self.seconds(1.0..5.0), self.fault());
        let another = self.random.random_bool(0.3).then(|| {
            let after = fault.lasts.mul_f64(self.random.random_range(0.0..1.0));
            (after, self.fault())
        });
        Step { calm, fault, another }
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        Some(self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_misfortune_and_each_kind_comes() {
        let steps = |seed| {
            let schedule = Schedule::new(seed, Duration::from_secs(6));
            schedule
                .take(40)
                .map(|step| format!("{step:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
        let all = steps(7).concat();
        for kind in [
            "Kill",
            "Freeze",
            "Terminate",
            "Broker",
            "Database",
            "Cut",
            "Block",
            "Delay",
        ] {
            assert!(all.contains(kind), "{kind}");
        }
        for link in Link::ALL {
            assert!(all.contains(&format!("{link:?}")), "{link:?}");
        }
    }
}
