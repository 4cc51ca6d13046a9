//! `daybook`: see `daybook --help`.

use std::process::ExitCode;

use clap::Parser;
use server::cli::{Cli, run};

/// Records are made on one thread and freed on another, which glibc's allocator is slow at: it was
/// the largest single cost of a command (`docs/performance.md`). Serves librdkafka as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of what leaves the processors to the shop: half way to the lowest.
const NICE: i32 = 10;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there are threads: each has a priority of its own, and gets it from the one that starts it.
    if cli.command.gives_way()
        && let Err(error) = rustix::process::setpriority_process(None, NICE)
    {
        eprintln!("cannot lower the priority of this process: {error}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(cli));
    // Threads of the log's client may still wait for a network that is away.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
