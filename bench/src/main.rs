//! Speed as ratios in one run: Daybook against limits on the same machine, with the same durability,
//! alternating, and void when an invariant breaks. `docs/performance.md` says how to read the table.

mod cell;
mod goals;
mod history;
mod http;
mod in_process;
mod load;
mod memory;
mod options;
mod overload;
mod owners;
mod pass_through;
mod processor;
mod projector;
mod raw;
mod read_side;
mod report;
mod series;
mod shape;
mod shop;
mod stage;
mod statistics;
mod system;
mod takeover;
mod verify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use eventsourcing::topic::Topic;

use options::Options;
use report::Row;
use stage::{Durability, Grounds};

/// The allocator that Daybook has: the limits must not lose by another one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures Daybook against limits on this machine")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// All of them.
    All(Options),
    /// The whole command path against pass-through.
    G3(Options),
    /// Bytes of events per second against raw batched produce.
    G4(Options),
    /// Latency against the acknowledgement of single raw records.
    G5(Options),
    /// One hot aggregate against many.
    G7(Options),
    /// The live projector against reading its records and writing its rows.
    G8(Options),
    /// A whole rebuild against reading its records and writing its rows.
    G9(Options),
    /// `daybook rebuild` beside a naive projector and beside emmett, with memory; `all` leaves it out.
    #[command(name = "g9p")]
    G9P(Options),
    /// How soon an order is visible, against raw produce → consume.
    G10(Options),
    /// An order by its id against a bare handler over the same table.
    G11(Options),
    /// Memory of an owner against a map of the same states.
    G12(Options),
    /// Take-over against a fence and the tail, and against a replay of the whole log.
    G13(Options),
    /// Three times the load that it can do: what it still does, and how fast it refuses.
    G14(Options),
    /// The PostgreSQL log beside a flushed Kafka.
    Postgres(Options),
    /// The limit of G3 against itself: what the method sees where there is nothing to see.
    Null(Options),
    /// Serves the limit of G3; started by the others.
    #[command(hide = true)]
    PassThrough(PassThrough),
    /// Serves the limit of G11; started by the others.
    #[command(hide = true)]
    ById {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database: String,
    },
    /// Keeps the aggregates of a partition and says what that takes; started by G12.
    #[command(hide = true)]
    Hold(memory::Hold),
    /// Projects with a transaction an event; started by G9P.
    #[command(hide = true)]
    Naive(read_side::Naive),
}

#[derive(Args)]
struct PassThrough {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    partitions: u32,
    #[arg(long)]
    linger_ms: f64,
    #[arg(long)]
    shape: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (goals, options): (&[Goal], Options) = match Arguments::parse().command {
        Action::PassThrough(arguments) => return pass_through(arguments).await,
        Action::ById { listen, database } => return read_side::serve_by_id(listen, &database).await,
        Action::Hold(arguments) => return memory::hold(arguments).await,
        Action::Naive(arguments) => return read_side::project_naively(arguments).await,
        Action::All(options) => (
            &[
                Goal::G3,
                Goal::G4,
                Goal::G5,
                Goal::G7,
                Goal::G8,
                Goal::G9,
                Goal::G10,
                Goal::G11,
                Goal::G12,
                Goal::G13,
                Goal::G14,
                Goal::Postgres,
            ],
            options,
        ),
        Action::G3(options) => (&[Goal::G3], options),
        Action::G4(options) => (&[Goal::G4], options),
        Action::G5(options) => (&[Goal::G5], options),
        Action::G7(options) => (&[Goal::G7], options),
        Action::G8(options) => (&[Goal::G8], options),
        Action::G9(options) => (&[Goal::G9], options),
        Action::G9P(options) => (&[Goal::G9P], options),
        Action::G10(options) => (&[Goal::G10], options),
        Action::G11(options) => (&[Goal::G11], options),
        Action::G12(options) => (&[Goal::G12], options),
        Action::G13(options) => (&[Goal::G13], options),
        Action::G14(options) => (&[Goal::G14], options),
        Action::Null(options) => (&[Goal::Null], options),
        Action::Postgres(options) => (&[Goal::Postgres], options),
    };
    ensure!(options.pairs > 0 && options.seconds > 0.0, "nothing to measure");
    // Before the run: somebody may commit meanwhile.
    let commit = commit()?;
    let rows = measure(goals, &options).await?;
    let table = report::table(&rows, &commit, &conditions(&options)?);
    println!("{table}");
    if options.write {
        report::write(&root().join("docs/performance.md"), &table)?;
    }
    ensure!(
        rows.iter().all(|row| row.voids.is_empty()),
        "cells broke an invariant"
    );
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    G3,
    G4,
    G5,
    G7,
    G8,
    G9,
    G9P,
    G10,
    G11,
    G12,
    G13,
    G14,
    Postgres,
    Null,
}

async fn measure(goals: &[Goal], options: &Options) -> anyhow::Result<Vec<Row>> {
    let named = || {
        Ok::<_, anyhow::Error>(
            options
                .daybook
                .clone()
                .map(|path| path.canonicalize())
                .transpose()?,
        )
    };
    let needs_daybook = goals.iter().any(|goal| {
        !matches!(
            goal,
            Goal::G4 | Goal::G8 | Goal::G9 | Goal::G12 | Goal::G13 | Goal::Null
        )
    });
    let grounds = Grounds {
        daybook: match named()? {
            Some(path) => path,
            None if needs_daybook => build()?,
            None => PathBuf::new(),
        },
        partitions: options.partitions,
        linger_cached_ms: options.linger_cached_ms,
        linger_flushed_ms: options.linger_flushed_ms,
    };
    let weight = options.weight();
    let mut rows = Vec::new();
    for goal in goals {
        let durabilities = match goal {
            Goal::Postgres => &[Durability::Postgres],
            // Nobody flushes what is read.
            Goal::G8 | Goal::G9 | Goal::G9P | Goal::G11 | Goal::G12 | Goal::G13 => &[Durability::PageCache],
            Goal::G3 | Goal::G4 | Goal::G5 | Goal::G7 | Goal::G10 | Goal::G14 | Goal::Null => {
                options.mode.durabilities()
            }
        };
        for durability in durabilities {
            rows.extend(match goal {
                Goal::G3 => goals::g3(&grounds, weight, *durability).await?,
                Goal::G4 => goals::g4(&grounds, weight, *durability).await?,
                Goal::G5 => goals::g5(&grounds, weight, *durability).await?,
                Goal::G7 => goals::g7(&grounds, weight, *durability).await?,
                Goal::G8 => read_side::g8(&grounds, weight, *durability).await?,
                Goal::G9 => read_side::g9(&grounds, weight, *durability).await?,
                Goal::G9P => read_side::g9p(&grounds, weight, *durability).await?,
                Goal::G10 => read_side::g10(&grounds, weight, *durability).await?,
                Goal::G11 => read_side::g11(&grounds, weight, *durability).await?,
                Goal::G12 => memory::g12(&grounds, weight, *durability).await?,
                Goal::G13 => takeover::g13(&grounds, weight, *durability).await?,
                Goal::G14 => overload::g14(&grounds, weight, *durability).await?,
                Goal::Null => goals::null(&grounds, weight, *durability).await?,
                Goal::Postgres => goals::postgres(&grounds, weight).await?,
            });
        }
    }
    Ok(rows)
}

async fn pass_through(arguments: PassThrough) -> anyhow::Result<()> {
    let target = raw::Target {
        brokers: arguments.brokers,
        topic: Topic::named(&arguments.topic),
        partitions: arguments.partitions,
        linger_ms: arguments.linger_ms,
        shape: serde_json::from_slice(&std::fs::read(arguments.shape)?)?,
    };
    pass_through::serve(arguments.listen, &target).await
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Builds the program under test and says where it is: beside this one.
fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "daybook", "--bin", "daybook"])
        .current_dir(root())
        .status()
        .context("cargo")?;
    ensure!(status.success(), "daybook does not build");
    let beside = std::env::current_exe()?;
    let release = beside
        .ancestors()
        .nth(2)
        .context("a target directory")?
        .join("release/daybook");
    release
        .canonicalize()
        .with_context(|| release.display().to_string())
}

/// The commit measured; `+` where files differ from it.
fn commit() -> anyhow::Result<String> {
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git").args(arguments).current_dir(root()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = !git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "crates",
        "bench",
    ])?
    .is_empty();
    let mark = if changed { "+" } else { "" };
    Ok(format!("{}{mark}", git(&["rev-parse", "--short", "HEAD"])?))
}

fn conditions(options: &Options) -> anyhow::Result<String> {
    let processors = std::thread::available_parallelism()?;
    Ok(format!(
        "{processors} processors for everything (servers, broker, database, load); {} pairs of cells of {} s; {} partitions; \
         linger {} ms, {} ms where flushed. `+` behind a commit: measured with uncommitted changes.",
        options.pairs,
        options.seconds,
        options.partitions,
        options.linger_cached_ms,
        options.linger_flushed_ms,
    ))
}
