//! What all measurements can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::goals::Weight;
use crate::read_side::Peer;
use crate::series::Plan;
use crate::stage::Durability;

#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Pairs of cells. Ten is the least that says something.
    #[arg(long, default_value_t = 10)]
    pub(crate) pairs: usize,
    /// Seconds of a cell.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Connections of the closed loop.
    #[arg(long, default_value_t = 256)]
    pub(crate) connections: usize,
    /// Callers of the engine in process.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) clients: usize,
    /// Commands per second of the open loop.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rate: u32,
    /// Events of the past that is projected or rebuilt.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) events: u64,
    /// The only one that G9P puts Daybook beside; all of them by default.
    #[arg(long, value_enum)]
    pub(crate) peer: Option<Peer>,
    /// Events of the past that emmett rebuilds from: the first ones of Daybook's.
    #[arg(long, default_value_t = 40_000)]
    pub(crate) peer_events: u64,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 4)]
    pub(crate) partitions: u32,
    /// What a Kafka acknowledgement means.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub(crate) mode: Mode,
    /// What librdkafka waits for company with the page cache, in milliseconds, on both sides.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) linger_cached_ms: f64,
    /// The same when each batch is flushed.
    #[arg(long, default_value_t = 0.2)]
    pub(crate) linger_flushed_ms: f64,
    /// The program under test; built in release when it is not named.
    #[arg(long)]
    pub(crate) daybook: Option<PathBuf>,
    /// Puts the table into docs/performance.md.
    #[arg(long)]
    pub(crate) write: bool,
}

impl Options {
    /// How hard the load is that they ask for.
    pub(crate) fn weight(&self) -> Weight {
        Weight {
            plan: Plan {
                pairs: self.pairs,
                cell: Duration::from_secs_f64(self.seconds),
            },
            connections: self.connections,
            clients: self.clients,
            rate: self.rate,
            events: self.events,
            peer: self.peer,
            peer_events: self.peer_events,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// In the broker's page cache.
    PageCache,
    /// On disk.
    Flushed,
    /// One after the other.
    Both,
}

impl Mode {
    pub(crate) const fn durabilities(self) -> &'static [Durability] {
        match self {
            Self::PageCache => &[Durability::PageCache],
            Self::Flushed => &[Durability::Flushed],
            Self::Both => &[Durability::PageCache, Durability::Flushed],
        }
    }
}
