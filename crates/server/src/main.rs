//! `daybook`: see `daybook --help`.

use std::process::ExitCode;

use clap::Parser;
use server::cli::{Cli, run};

/// Records are made on one thread and freed on another, which glibc's allocator is slow at: it was
/// the largest single cost of a command (`docs/performance.md`). Serves librdkafka as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
