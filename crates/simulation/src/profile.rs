//! What a seed makes of the world. Not every seed has every misfortune: what one fault hides, another
//! run without it shows.

use std::time::Duration;

use eventsourcing::owner::Config;
use eventsourcing::simulated::TableFaults;
use eventsourcing::simulated::{Faults, StoreFaults};
use rand::Rng;
use rand::rngs::StdRng;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) partitions: u32,
    pub(crate) accounts: u64,
    pub(crate) clients: u64,
    pub(crate) faults: Faults,
    pub(crate) store: StoreFaults,
    /// Of the table of states, where there is one.
    pub(crate) states: Option<TableFaults>,
    pub(crate) owner: Config,
    /// The chance that a node dies whenever it speaks to the world.
    pub(crate) death: f64,
    /// The longest pause of the nemesis.
    pub(crate) pause_ms_max: u64,
    /// Which misfortunes it brings.
    pub(crate) misfortunes: Vec<Misfortune>,
}

/// What the nemesis does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfortune {
    /// Kill a node wherever it is.
    Crash,
    /// Stop a node and start it anew.
    Restart,
    /// Freeze a node for longer than everything else takes.
    Freeze,
    /// Move a partition from one node to another.
    Rebalance,
    /// Put a node's clock forward or back.
    ClockJump,
    /// Nobody reaches the log for a while.
    LogAway,
}

const ALL: [Misfortune; 6] = [
    Misfortune::Crash,
    Misfortune::Restart,
    Misfortune::Freeze,
    Misfortune::Rebalance,
    Misfortune::ClockJump,
    Misfortune::LogAway,
];

impl Profile {
    pub(crate) fn draw(random: &mut StdRng) -> Self {
        let mut rate = |most: f64| {
            if random.random_bool(0.25) {
                0.0
            } else {
                random.random_range(0.0..most)
            }
        };
        let faults = Faults {
            lost: rate(0.08),
            ack_lost: rate(0.1),
            late: rate(0.1),
            split: rate(0.6),
            unavailable: rate(0.06),
            delay_ms_max: 20,
        };
        let store = StoreFaults {
            unavailable: rate(0.06),
            unanswered: rate(0.1),
            delay_ms_max: 20,
        };
        let table = TableFaults {
            store,
            replaced: rate(0.03),
            absent: rate(0.06),
        };
        let death = rate(0.003);
        let mut owner = Config {
            batch_commands_max: random.random_range(1..=5),
            mailbox_commands_max: random.random_range(1..=8),
            command_timeout: Duration::from_millis(random.random_range(300..2_500)),
            retry_pause: Duration::from_millis(random.random_range(20..80)),
            aggregates_max: random.random_range(1..=3),
            states_timeout: Duration::from_millis(300),
            ..Config::default()
        };
        let mut misfortunes: Vec<Misfortune> = ALL.into_iter().filter(|_| random.random_bool(0.7)).collect();
        misfortunes.push(Misfortune::Rebalance);
        owner.tail_events_max = random.random_range(0..=6);
        Self {
            partitions: random.random_range(1..=3),
            accounts: random.random_range(3..=6),
            clients: 5,
            faults,
            store,
            states: random.random_bool(0.6).then_some(table),
            owner,
            death,
            pause_ms_max: random.random_range(100..600),
            misfortunes,
        }
    }
}
