//! From a parsed command line to what does it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Cli, Command, How, Import, LogCommand, ParkedCommand, Rebuild, RebuildCommand, TopicsCommand};
use crate::INTERRUPTED_EXIT_CODE;
use crate::config::{self, Config, Effective};
use crate::copy::{self, Goal};
use crate::import::{self, Ended, Options};
use crate::maintenance;
use crate::parked::{self, Unwanted};
use crate::parts::Parts;
use crate::read_log::{self, Selection};
use crate::rebuild::{self, Order, Wanted, WantedSnapshots};
use crate::repartition;
use crate::{roles, telemetry, up};

/// Does what was asked.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let Effective { config, shown } =
        config::load(cli.flags.config.as_deref(), &environment, &cli.flags.overrides())?;
    match cli.command {
        Command::Up { seed } => up::run(config, seed.map(seed_file).transpose()?.as_deref()).await?,
        Command::Commands => roles::run_commands(config).await?,
        Command::Projections => roles::run_projections(config).await?,
        Command::Queries => roles::run_queries(config).await?,
        Command::Workers => roles::run_workers(config).await?,
        Command::Import(import) => return run_import(&config, import).await,
        Command::Log(LogCommand::Read {
            topic,
            partition,
            from,
            json,
        }) => {
            let selection = Selection {
                topic,
                partition,
                from,
                json,
            };
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            with_parts(config, async |parts| {
                read_log::run(parts, &selection, &mut out).await?;
                Ok(out.flush()?)
            })
            .await?;
        }
        Command::Log(LogCommand::Copy {
            from,
            to,
            follow,
            switch,
        }) => {
            let goal = match (follow, switch) {
                (_, true) => Goal::Switch,
                (true, false) => Goal::Follow,
                (false, false) => Goal::Once,
            };
            copy::way(from, to)?;
            let source = Config { log: from, ..config };
            return with_parts(source, async |parts| copy::run(parts, goal).await).await;
        }
        Command::Log(LogCommand::Repartition { partitions, dry_run }) => {
            let wanted = repartition::Wanted { partitions, dry_run };
            return with_parts(config, async |parts| repartition::run(parts, wanted).await).await;
        }
        Command::Topics(TopicsCommand::Create) => with_parts(config, maintenance::create_topics).await?,
        Command::Topics(TopicsCommand::Doctor) | Command::Doctor => {
            with_parts(config, maintenance::doctor).await?;
        }
        Command::Rebuild(asked) => return run_rebuild(config, asked).await,
        Command::Verify { which, json } => {
            let wanted = Wanted {
                names: which.names,
                dry_run: false,
                json,
                events_per_s: None,
            };
            return with_parts(config, async |parts| rebuild::verify(parts, &wanted).await).await;
        }
        Command::Parked(asked) => return run_parked(config, asked).await,
        Command::Config => {
            for (key, value, source) in shown {
                println!("{:<60} # {source}", format!("{key} = {value}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_parked(config: Config, asked: ParkedCommand) -> anyhow::Result<ExitCode> {
    with_parts(config, async |parts| match &asked {
        ParkedCommand::List { names, limit, json } => parked::cli::list(parts, names, *limit, *json).await,
        ParkedCommand::Retry { name, key, all: _ } => {
            parked::cli::retry(parts, name.as_deref(), key.as_deref()).await
        }
        ParkedCommand::Skip {
            name,
            key,
            at,
            reason,
        } => parked::cli::skip(parts, name, Unwanted { key, at, reason }).await,
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_rebuild(config: Config, asked: Rebuild) -> anyhow::Result<ExitCode> {
    let Rebuild {
        which,
        dry_run,
        json,
        throttle,
        as_of,
        only,
        command,
    } = asked;
    let (name, as_of, order) = match command {
        None => {
            if let Some(as_of) = as_of {
                let wanted = WantedSnapshots {
                    names: which.names,
                    as_of,
                    only,
                    dry_run,
                    json,
                    events_per_s: throttle,
                };
                return with_parts(config, async |parts| rebuild::as_of(parts, &wanted).await).await;
            }
            if !only.is_empty() {
                bail!(
                    "--only goes with --as-of: a read model of some of the events must never become the live one"
                );
            }
            let wanted = Wanted {
                names: which.names,
                dry_run,
                json,
                events_per_s: throttle,
            };
            return with_parts(config, async |parts| rebuild::rebuild(parts, &wanted).await).await;
        }
        Some(RebuildCommand::Status { json }) => {
            with_parts(config, async |parts| rebuild::status(parts, json).await).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(RebuildCommand::Snapshots { json }) => {
            with_parts(config, async |parts| rebuild::snapshots(parts, json).await).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(RebuildCommand::Pause { name, as_of }) => (name, as_of, Order::Pause),
        Some(RebuildCommand::Resume { name, as_of }) => (name, as_of, Order::Resume),
        Some(RebuildCommand::Throttle { name, pace, as_of }) => {
            let pace = match pace.as_str() {
                "off" => None,
                pace => Some(pace.parse().with_context(|| {
                    format!("{pace:?} is neither a number of records a second nor `off`")
                })?),
            };
            (name, as_of, Order::Throttle(pace))
        }
        Some(RebuildCommand::Cancel { name, as_of }) => (name, as_of, Order::Cancel),
        Some(RebuildCommand::Rollback { name }) => (name, None, Order::Rollback),
        Some(RebuildCommand::Drop { name, as_of }) => (name, as_of, Order::Drop),
    };
    let giving = async |parts: &Parts| rebuild::give(parts, &name, as_of.as_deref(), order).await;
    with_parts(config, giving).await?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the parts for one piece of work, and closes them whatever comes of it.
async fn with_parts<T>(
    mut config: Config,
    work: impl AsyncFnOnce(&Parts) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // A command's answer is its output; only what is wrong is logged beside it.
    if config.telemetry == config::Telemetry::default() {
        "warn".clone_into(&mut config.telemetry.log_filter);
    }
    telemetry::start(&config.telemetry)?;
    let (parts, local) = Parts::connect(config).await?;
    let outcome = work(&parts).await;
    parts.pool.close().await;
    local.stop().await?;
    outcome
}

fn seed_file(seed: Vec<String>) -> anyhow::Result<String> {
    match <[String; 2]>::try_from(seed) {
        Ok([kind, file]) if kind == "eshop" => {
            if !Path::new(&file).exists() {
                bail!("--seed eshop: {file} does not exist");
            }
            Ok(file)
        }
        Ok([kind, _]) => bail!("--seed {kind}: the only kind of catalogue is eshop"),
        Err(_) => bail!("--seed takes a kind and a file, as in --seed eshop catalog.json"),
    }
}

async fn run_import(config: &Config, import: Import) -> anyhow::Result<ExitCode> {
    let options = |how: &How, rejects: &Path| Options {
        commands: config.listen.commands_url.clone(),
        rejects: rejects.to_owned(),
        concurrency: usize::from(how.concurrency),
        give_up_after: Duration::from_secs(how.give_up_after),
    };
    match import {
        Import::Eshop { file, stock, how } => {
            let loaded = import::run_eshop(&file, stock, &options(&how, Path::new(""))).await?;
            println!(
                "{} products · {} commands sent, {} replayed",
                loaded.products, loaded.sent, loaded.replayed
            );
            Ok(ExitCode::SUCCESS)
        }
        Import::OnlineRetail { file, rejects, how } => {
            let (summary, ended) = import::run_online_retail(&file, &options(&how, &rejects))
                .await
                .context("online-retail")?;
            println!("{summary}");
            println!("rejected lines: {}", rejects.display());
            match ended {
                Ended::Complete => Ok(ExitCode::SUCCESS),
                Ended::Interrupted => {
                    eprintln!(
                        "interrupted; what was sent is in the log. Run the same command again to go on."
                    );
                    Ok(ExitCode::from(INTERRUPTED_EXIT_CODE))
                }
            }
        }
    }
}
