//! Real processes under a nemesis. Three nodes over a real Kafka and a real PostgreSQL are killed, frozen,
//! restarted and cut off while clients work; afterwards everything that the clients were told is held against the
//! log. Exits with an error when anything is wrong.

mod calm;
mod cluster;
mod http;
mod lag;
mod nemesis;
mod recovery;
mod report;
mod scenario;
mod verdict;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rand::Rng;
use tokio_util::sync::CancellationToken;

use verdict::Lie;
use workload::Style;

#[derive(Parser)]
#[command(
    name = "chaos",
    about = "Three real nodes under a nemesis, and a check of everything afterwards",
    after_help = "\
Examples:
  chaos all --minutes 5                      everything that can go wrong
  chaos all --minutes 5 --seed 42            the same misfortune again
  chaos all --minutes 1 --seed-bug drop-ack  the check is lied to, and must fail
  chaos kill --minutes 10 --every 10         kill -9 of a random node every 10 s
  chaos zombie --rounds 200                  owners that sleep past their session and wake up
  chaos rolling --rounds 5 --rate 500        rolling restarts under an open loop

Ctrl-C ends the faults; what happened so far is still checked."
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Every fault there is, drawn from a seed.
    All(All),
    /// kill -9 of a random node, again and again: how long are its partitions away?
    Kill(Kill),
    /// An owner sleeps past its session under load and wakes up, again and again.
    Zombie(Zombie),
    /// One node after the other is stopped in order and started again, under an open loop.
    Rolling(Rolling),
}

/// What all scenarios have in common.
#[derive(Args, Clone)]
struct Common {
    /// Of the faults and the load; drawn when it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Clients.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Milliseconds between two commands of one client.
    #[arg(long, default_value_t = 60)]
    pace_ms: u64,
    /// A node that is silent for so long loses its partitions, in milliseconds.
    #[arg(long, default_value_t = 6_000)]
    session_timeout_ms: u64,
    /// Seconds after the last fault within which everything must be as it was before the first.
    #[arg(long, default_value_t = 30.0)]
    calm_max: f64,
    /// Tells the check a lie, which it must find. For the check's own test.
    #[arg(long, value_enum)]
    seed_bug: Option<Lie>,
    /// Tells the check every lie there is, each about a copy of this run, and fails unless it finds each.
    #[arg(long)]
    lies: bool,
    /// Keeps the directory with all logs though nothing is wrong.
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
struct All {
    /// How long faults strike.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Kill {
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seconds from one kill to the next.
    #[arg(long, default_value_t = 10.0)]
    every: f64,
    /// Seconds that the node stays down.
    #[arg(long, default_value_t = 3.0)]
    down: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Zombie {
    /// How many times.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Seconds of sleep; longer than the session's time-out.
    #[arg(long, default_value_t = 15.0)]
    freeze: f64,
    /// Clients that insist on the node that sleeps.
    #[arg(long, default_value_t = 16)]
    pressing: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Rolling {
    /// How often every node is restarted.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Commands a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    #[command(flatten)]
    common: Common,
}

impl Common {
    /// The seed, which is told so that the run can be repeated.
    fn style(&self) -> Style {
        let seed = self
            .seed
            .unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        println!("seed {seed}");
        Style {
            seed,
            connections: self.connections,
            pace: Duration::from_millis(self.pace_ms),
            answer_max: Duration::from_secs(8),
        }
    }

    const fn session(&self) -> Duration {
        Duration::from_millis(self.session_timeout_ms)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            println!("Ctrl-C: no more faults; checking what happened so far. Once more ends at once.");
            interrupted.cancel();
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
    let outcome = match arguments.command {
        Action::All(all) => scenario::all::run(&all, stop).await,
        Action::Kill(kill) => scenario::kill::run(&kill, stop).await,
        Action::Zombie(zombie) => scenario::zombie::run(&zombie, stop).await,
        Action::Rolling(rolling) => scenario::rolling::run(&rolling, stop).await,
    };
    match outcome {
        Ok(()) => {
            println!("nothing is wrong");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
