//! The command line.

mod flags;
mod rebuild;
mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::LogKind;
pub use flags::Flags;
pub use rebuild::{Rebuild, RebuildCommand, Which};
pub use run::run;

/// An event-sourced commerce backend: commands in, events in a log, read models out.
#[derive(Debug, Parser)]
#[command(
    name = "daybook",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  daybook up --dev                      everything in one process, with a demo catalogue
  daybook import online-retail FILE     a year of real sales through the command API
  daybook log read orders               what is in the log, with each record's verdict
  daybook log copy --from postgres --to kafka    into Kafka, while the shop goes on

Every setting: `daybook config`. Flags go over environment (DAYBOOK_*, DATABASE_URL, KAFKA_BROKERS),
which goes over the file (daybook.toml), which goes over defaults."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings.
    #[command(flatten)]
    pub flags: Flags,
}

impl Command {
    /// Whether it is work beside a shop that may be running on the same machine, and can wait.
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        matches!(self, Self::Rebuild(_) | Self::Verify { .. })
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every role in this process.
    #[command(after_help = "\
Examples:
  daybook up --dev
  daybook up --data /srv/daybook
  daybook up --dev --seed eshop catalog.json
  KAFKA_BROKERS=127.0.0.1:9092 daybook up --dev --log kafka

Without DATABASE_URL a PostgreSQL of its own is started under --data. Ctrl-C stops everything in order.")]
    Up {
        /// Offer a catalogue at start: its kind and its file.
        #[arg(long, num_args = 2, value_names = ["KIND", "FILE"])]
        seed: Option<Vec<String>>,
    },
    /// Run the command API and the owners of all partitions.
    #[command(
        after_help = "Example:\n  DATABASE_URL=postgres://… daybook commands --dev --commands 0.0.0.0:8080"
    )]
    Commands,
    /// Run the projections.
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://… daybook projections")]
    Projections,
    /// Run the query API.
    #[command(
        after_help = "Example:\n  DATABASE_URL=postgres://… daybook queries --dev --queries 0.0.0.0:8081"
    )]
    Queries,
    /// Run the processes; their commands go to --commands-url.
    #[command(
        after_help = "Example:\n  DATABASE_URL=postgres://… daybook workers --commands-url http://commands:8080"
    )]
    Workers,
    /// Import data through the command API.
    #[command(subcommand)]
    Import(Import),
    /// Look at the log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Create and check topics.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Check topics and settings (same as `topics doctor`).
    #[command(after_help = "Example:\n  daybook doctor || echo 'something is wrong'")]
    Doctor,
    /// Rebuild read models from the whole log, beside the live ones, and switch when they are verified.
    Rebuild(Rebuild),
    /// Rebuild read models and only compare them with the live ones, which go on meanwhile.
    #[command(after_help = "\
Examples:
  daybook verify orders
  daybook verify --all || echo 'a read model is not what the log says'")]
    Verify {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Progress and result as JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Events that a projection could not apply.
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Print the effective configuration and where each value comes from; secrets are masked.
    #[command(
        after_help = "Examples:\n  daybook config\n  DAYBOOK_TOPICS_PARTITIONS=8 daybook config | grep partitions"
    )]
    Config,
}

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// The eShop catalogue: products with price and stock.
    #[command(after_help = "Example:\n  daybook import eshop catalog.json --stock 50")]
    Eshop {
        /// `catalog.json`.
        file: PathBuf,
        /// Pieces of each product.
        #[arg(long, default_value_t = 100)]
        stock: u64,
        /// How.
        #[command(flatten)]
        how: How,
    },
    /// Online Retail: orders and credit notes of the past. Times in the file are taken as UTC.
    #[command(after_help = "\
Examples:
  daybook import online-retail online-retail.csv.gz
  daybook import online-retail online-retail.csv --rejects rejects.csv --concurrency 64

A second run changes nothing; an interrupted one goes on where it was.")]
    OnlineRetail {
        /// `.csv` or `.csv.gz`.
        file: PathBuf,
        /// Where rejected lines go: line number, code, the line.
        #[arg(long, default_value = "online-retail-rejects.csv")]
        rejects: PathBuf,
        /// How.
        #[command(flatten)]
        how: How,
    },
}

/// How an import is run.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Requests at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Seconds for which one request is retried while the API is away or overloaded.
    #[arg(long, default_value_t = 600)]
    pub give_up_after: u64,
}

/// Looking at the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print every record with rule R's verdict: opened, accepted, void or corrupt.
    #[command(after_help = "\
Examples:
  daybook log read orders
  daybook log read daybook.orders.events --partition 2 --from 100 --json | jq .data")]
    Read {
        /// A service (orders, catalog, inventory) or the whole name of a topic.
        topic: String,
        /// Only this partition.
        #[arg(long)]
        partition: Option<u32>,
        /// Only from this offset on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Copy the log of a shop that outgrows PostgreSQL into Kafka, offset for offset.
    #[command(after_help = "\
Examples:
  KAFKA_BROKERS=kafka-1:9092 daybook log copy --from postgres --to kafka
  KAFKA_BROKERS=kafka-1:9092 daybook log copy --from postgres --to kafka --follow
  KAFKA_BROKERS=kafka-1:9092 daybook log copy --from postgres --to kafka --switch

The shop goes on meanwhile. A run that was interrupted or killed goes on where it ended; a target that
holds anything else is refused. --switch seals the PostgreSQL log for good: its nodes end, and the shop
is started with --log kafka. Read models and clients' positions stay valid. See docs/operations.md.")]
    Copy {
        /// The log that is there.
        #[arg(long, value_name = "LOG")]
        from: LogKind,
        /// The log to be.
        #[arg(long, value_name = "LOG")]
        to: LogKind,
        /// Go on copying what comes, until Ctrl-C.
        #[arg(long, conflicts_with = "switch")]
        follow: bool,
        /// Seal the source and copy the rest: from then on the log is in the target.
        #[arg(long)]
        switch: bool,
    },
    /// Go on in new topics with another number of partitions; each key keeps its order.
    #[command(after_help = "\
Examples:
  daybook log repartition --partitions 8 --dry-run
  daybook log repartition --partitions 8
  KAFKA_BROKERS=kafka-1:9092 daybook log repartition --partitions 24 --log kafka

The shop goes on while its events are copied. Then the old topics are sealed for good, the rest is copied and
verified, and the read models and the checkout are moved to the new topics: projectors and workers must be running
until then. The shop takes no commands from the seal until its nodes are started with the new topics.generation
and topics.partitions. A run that was interrupted or killed is taken up by the next; the old topics stay.
See docs/operations.md.")]
    Repartition {
        /// Partitions of each new topic.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
        partitions: u32,
        /// Only say what it would do, and how many events go where.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Creating and checking topics.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create what is missing, with the pinned settings.
    #[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 daybook topics create --log kafka")]
    Create,
    /// Say what is wrong and how to mend it; fails when a promise does not hold.
    #[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 daybook topics doctor --log kafka")]
    Doctor,
}

/// Parked events.
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// Print the first of each key: projection, place, key, since when, how many wait behind it, error.
    #[command(after_help = "\
Examples:
  daybook parked list
  daybook parked list orders --json | jq .error")]
    List {
        /// Only of these projections.
        names: Vec<String>,
        /// Keys at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Fold them again, in their order, with this build's fold; fails when a key still waits.
    #[command(after_help = "\
Examples:
  daybook parked retry orders
  daybook parked retry orders --key order-7
  daybook parked retry --all

The projections go on meanwhile. What still fails stays parked, with the error it fails on now.")]
    Retry {
        /// Which projection.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// Only this key.
        #[arg(long, conflicts_with = "all")]
        key: Option<String>,
        /// All projections.
        #[arg(long)]
        all: bool,
    },
    /// Leave the first parked event of a key out for ever, in all versions, and fold what waits behind it.
    #[command(after_help = "\
Example:
  daybook parked skip orders --key order-7 --at daybook.orders.events/3@1042 --reason 'not ours'

There is no way back. When what follows cannot do without the event, it stays parked with its own error.")]
    Skip {
        /// Which projection.
        name: String,
        /// Whose first parked event.
        #[arg(long)]
        key: String,
        /// Its place, as `parked list` prints it.
        #[arg(long, value_name = "TOPIC/PARTITION@OFFSET")]
        at: String,
        /// Why; it is kept with the place, the time and the database's user.
        #[arg(long)]
        reason: String,
    },
}
