//! `daybook rebuild`, as its users write it.

use std::num::NonZeroU64;

use clap::Subcommand;

/// Which projections.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Projections: products, availability, orders, sales, …
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
}

/// `daybook rebuild`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  daybook rebuild sales
  daybook rebuild orders sales --throttle 20000
  daybook rebuild --all --dry-run
  daybook rebuild --all --json | jq .events_per_s
  daybook rebuild status
  daybook rebuild rollback orders
  daybook rebuild sales --as-of 2011-06-30T00:00:00Z
  daybook rebuild sales --as-of 2011-06-30T00:00:00Z --only order.imported

The shop goes on meanwhile, and queries read the live version until the new one is verified: all its rows equal the
live ones, or, where the fold has changed, a sample of rows equals a plain fold of the log. A rebuild that was
interrupted or killed is taken up by the next. The version before is kept for `rollback`.

With --as-of a read model is built as it stood at that instant, beside the live one, which is not touched; queries read
it with ?as_of=2011-06-30T00:00:00Z. An event counts when it happened strictly before: an imported order when it was
ordered, everything else when it was decided. The same command again replaces it. See docs/operations.md."
)]
pub struct Rebuild {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Only say what would be read.
    #[arg(long)]
    pub dry_run: bool,
    /// Progress and result as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Records a second at most; `daybook rebuild throttle` changes it later.
    #[arg(long, value_name = "EVENTS_PER_S")]
    pub throttle: Option<NonZeroU64>,
    /// Build a snapshot of how it stood at this instant, beside the live version: 2011-06-30T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// With --as-of: fold only events of these types, `daybook.order.imported.v1` or in short `order.imported`.
    #[arg(long, value_name = "TYPE", num_args = 1..)]
    pub only: Vec<String>,
    /// Something else than to begin one.
    #[command(subcommand)]
    pub command: Option<RebuildCommand>,
}

/// What can be said to a rebuild, from any node.
#[derive(Debug, Subcommand)]
pub enum RebuildCommand {
    /// Print the rebuilds that are under way or were interrupted.
    #[command(after_help = "Example:\n  daybook rebuild status --json | jq .phase")]
    Status {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the snapshots that --as-of has built.
    #[command(
        after_help = "Examples:\n  daybook rebuild snapshots\n  daybook rebuild snapshots --json | jq .position"
    )]
    Snapshots {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Hold one; what it folded is stored.
    #[command(after_help = "Example:\n  daybook rebuild pause orders")]
    Pause {
        /// Which projection's.
        name: String,
        /// Of the snapshot of this instant.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// Let one that was paused go on.
    #[command(after_help = "Example:\n  daybook rebuild resume orders")]
    Resume {
        /// Which projection's.
        name: String,
        /// Of the snapshot of this instant.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// Hold one back to so many records a second.
    #[command(
        after_help = "Examples:\n  daybook rebuild throttle orders 5000\n  daybook rebuild throttle orders off"
    )]
    Throttle {
        /// Which projection's.
        name: String,
        /// Records a second, or `off`.
        #[arg(value_name = "EVENTS_PER_S")]
        pace: String,
        /// Of the snapshot of this instant.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// End one and remove what it built; the live version stays.
    #[command(after_help = "Example:\n  daybook rebuild cancel orders")]
    Cancel {
        /// Which projection's.
        name: String,
        /// Of the snapshot of this instant.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
    /// Bring the version before the live one up to date and make it the live one again.
    #[command(after_help = "\
Example:
  daybook rebuild rollback orders

A version can be brought up to date only by the build whose fold made it. A second roll-back undoes the first.")]
    Rollback {
        /// Which projection.
        name: String,
    },
    /// Drop the versions before the live one (there is no way back then), or a snapshot.
    #[command(
        after_help = "Examples:\n  daybook rebuild drop orders\n  daybook rebuild drop sales --as-of 2011-06-30T00:00:00Z"
    )]
    Drop {
        /// Which projection.
        name: String,
        /// The snapshot of this instant instead.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
    },
}
