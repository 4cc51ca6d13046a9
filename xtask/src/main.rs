//! What `make run` does, and a local Kafka for developers.
//!
//! `daybook up` brings its own PostgreSQL but no Kafka: that is for developers, and lives here.

use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use embedded::kafka::{Kafka, Options};

/// Chores of Daybook's developers.
#[derive(Parser)]
enum Chore {
    /// Builds Daybook and runs `daybook up --dev`, with a local Kafka where asked for.
    Run {
        /// Which log.
        #[arg(long, value_enum, default_value_t = Log::Postgres)]
        log: Log,
        /// Where the data of local parts goes: `data`, or `data-kafka` with that log.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Handed on to `daybook up`.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Starts a local Kafka on a port of its own and keeps it until Ctrl-C.
    Kafka {
        /// Where its data goes.
        #[arg(long, default_value = "data-kafka/kafka")]
        data: PathBuf,
        /// Its port; a free one by default.
        #[arg(long)]
        port: Option<u16>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Log {
    Postgres,
    Kafka,
}

fn main() -> anyhow::Result<ExitCode> {
    match Chore::parse() {
        Chore::Run { log, data, rest } => run(log, data, &rest),
        Chore::Kafka { data, port } => kafka(data, port).map(|()| ExitCode::SUCCESS),
    }
}

fn run(log: Log, data: Option<PathBuf>, rest: &[String]) -> anyhow::Result<ExitCode> {
    // Two logs, two directories: read models fit only the log they were made from.
    let data = data.unwrap_or_else(|| match log {
        Log::Postgres => "data".into(),
        Log::Kafka => "data-kafka".into(),
    });
    let built = cargo(&["build", "--release", "--bin", "daybook"])?;
    anyhow::ensure!(built.success(), "the build failed");
    let program = built_daybook()?;
    let mut daybook = Command::new(&program);
    daybook.args(["up", "--dev", "--data"]).arg(&data).args(rest);
    // Held until Daybook has ended; dropping it stops the broker.
    let broker = match log {
        Log::Postgres => None,
        Log::Kafka => {
            let broker = start_kafka(&Options::new(data.join("kafka")))?;
            daybook
                .args(["--log", "kafka"])
                .env("KAFKA_BROKERS", broker.brokers());
            Some(broker)
        }
    };
    // The terminal sends Ctrl-C to Daybook as well; it drains, and the broker goes after it.
    ctrlc::set_handler(|| ()).context("catching Ctrl-C")?;
    let status = daybook
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    drop(broker);
    // It has said why.
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn kafka(data: PathBuf, port: Option<u16>) -> anyhow::Result<()> {
    let broker = start_kafka(&Options {
        port,
        ..Options::new(data)
    })?;
    println!("export KAFKA_BROKERS={}", broker.brokers());
    println!("Ctrl-C stops it");
    let (interrupted, wait) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || {
        // The other end is there until it has heard once.
        let _ = interrupted.send(());
    })
    .context("catching Ctrl-C")?;
    wait.recv().context("waiting for Ctrl-C")?;
    drop(broker);
    Ok(())
}

fn start_kafka(options: &Options) -> anyhow::Result<Kafka> {
    println!("starting a local Kafka in {}", options.data.display());
    Kafka::start(options, |line| println!("{line}")).context("local Kafka")
}

/// Beside this program's own profile: the target directory may be anywhere.
fn built_daybook() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program")?;
    let target = this
        .ancestors()
        .nth(2)
        .context("this program was not built by cargo")?;
    Ok(target
        .join("release/daybook")
        .with_extension(std::env::consts::EXE_EXTENSION))
}

fn cargo(arguments: &[&str]) -> anyhow::Result<ExitStatus> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
        .args(arguments)
        .status()
        .context("starting cargo")
}
