//! `make sim` runs seeds and says what came of them; `make sim SEED=7` shows one.

use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use simulation::{Bug, Found, Statistics, run, sweep};

/// Whole nodes on a log that misbehaves: one seed, one run.
#[derive(Parser)]
struct Arguments {
    /// Shows the run of this seed, line by line.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them: shares out many seeds over several machines.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Breaks one rule of the protocol, by its name.
    #[arg(long)]
    bug: Option<String>,
    /// Breaks each rule in turn and says which seed notices first.
    #[arg(long)]
    bugs: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bug = arguments.bug.as_deref().map(Bug::named);
    if bug == Some(None) {
        eprintln!("no such bug; there are {:?}", Bug::ALL);
        return ExitCode::FAILURE;
    }
    let bug = bug.flatten();
    match arguments.seed {
        Some(seed) => show(seed, bug),
        None if arguments.bugs => find_all(&arguments),
        None => many(&arguments, bug),
    }
}

fn show(seed: u64, bug: Option<Bug>) -> ExitCode {
    let run = run(seed, bug);
    println!("{}", run.trace());
    match run.judge() {
        Ok(happened) => {
            println!("good: {happened}");
            ExitCode::SUCCESS
        }
        Err(failing) => {
            println!("broken: {failing}");
            ExitCode::FAILURE
        }
    }
}

fn swept(arguments: &Arguments, bug: Option<Bug>) -> Result<Statistics, Found> {
    let bar = ProgressBar::new(arguments.seeds);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {per_sec}, {eta} to go");
    bar.set_style(style.expect("a valid template"));
    let threads = available_parallelism().map_or(1, NonZero::get);
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let swept = sweep(seeds, bug, threads, || bar.inc(1));
    bar.finish_and_clear();
    swept
}

fn many(arguments: &Arguments, bug: Option<Bug>) -> ExitCode {
    match swept(arguments, bug) {
        Ok(happened) => {
            println!("{happened}");
            ExitCode::SUCCESS
        }
        Err(Found { seed, failing }) => {
            println!("seed {seed}: {failing}\n`make sim SEED={seed}` shows it");
            ExitCode::FAILURE
        }
    }
}

fn find_all(arguments: &Arguments) -> ExitCode {
    let mut missed = 0;
    for bug in Bug::ALL {
        match swept(arguments, Some(bug)) {
            Ok(_) => {
                missed += 1;
                println!("{bug:?}: not found in {} seeds", arguments.seeds);
            }
            Err(Found { seed, failing }) => println!("{bug:?}: seed {seed}: {failing}"),
        }
    }
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
