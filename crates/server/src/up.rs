//! `daybook up`: every role in one process, a catalogue on offer, and a tour.

mod opening;
mod tour;

use std::path::Path;

use crate::admin;
use crate::config::{Config, LogKind, reachable};
use crate::import::{Item, demo_catalogue, load_eshop};
use crate::roles::owners::Owners;
use crate::roles::{Api, Endpoint, Process, commands, projections, queries, workers};
use crate::supervisor::Stage;

/// Pieces of each product of a seeded catalogue.
const SEED_STOCK: u64 = 100;

/// What is to be on offer when the shop opens.
enum Catalogue {
    /// Whatever is there.
    AsItIs,
    /// These, where they are not yet.
    Offered { origin: &'static str, items: Vec<Item> },
    /// The demo, in a shop that has nothing else.
    Demo(Vec<Item>),
}

/// Runs until told to stop.
pub async fn run(config: Config, seed: Option<&str>) -> anyhow::Result<()> {
    let catalogue = match seed {
        Some(file) => Catalogue::Offered {
            origin: "eshop",
            items: load_eshop(Path::new(file), SEED_STOCK)?,
        },
        None if config.dev => Catalogue::Demo(demo_catalogue()),
        None => Catalogue::AsItIs,
    };
    let mut process = Process::start(config, &[Api::Commands, Api::Queries]).await?;
    let owners = Owners::start(&mut process)?;
    let (reads, query_router) = queries::start(&mut process)?;
    let projecting = projections::start(&mut process)?;
    let started = commands::start(&mut process, &owners, Some(reads.clone()));
    let (stock, orders) = (owners.stock.clone(), owners.orders.clone());
    let working = workers::start(&mut process, stock, orders)?;

    let readiness = workers::readiness(
        commands::readiness(&owners, &started.prices, &process.outlived),
        working,
    );
    process.serve(Endpoint {
        api: Api::Commands,
        router: started.router.merge(admin::router(process.parts.clone())),
        readiness,
    })?;
    let readiness = projections::readiness(queries::readiness(&reads), projecting);
    process.serve(Endpoint {
        api: Api::Queries,
        router: query_router,
        readiness,
    })?;

    let places = Places::of(&process);
    let (closing, stop) = (
        process.supervisor.stop_of(Stage::Owners),
        process.supervisor.stop_of(Stage::Readers),
    );
    process.supervisor.spawn(Stage::Readers, "opening", async move {
        // A shop that is told to stop need not open first.
        tokio::select! {
            biased;
            () = closing.cancelled() => {}
            // What is sold already goes on being sold, catalogue or not.
            opened = opening::open(&places, catalogue) => if let Err(error) = opened {
                let error = format!("{error:#}");
                tracing::error!(error, "the catalogue is not on offer; start again to try again");
            },
        }
        stop.cancelled().await;
        Ok(())
    });
    process.run().await
}

/// Where things are, as people type it.
struct Places {
    commands: String,
    queries: String,
    log: String,
    postgres: String,
    /// Where everything is after the end.
    kept: String,
    /// How this very program is called to read the same log.
    read_log: String,
}

impl Places {
    fn of(process: &Process) -> Self {
        let config = &process.parts.config;
        let log = match config.log {
            LogKind::Postgres => "in PostgreSQL".to_owned(),
            LogKind::Kafka => format!("on Kafka at {}", config.kafka.brokers),
        };
        let own = config.postgres.url.is_empty();
        let (postgres, kept) = if own {
            (format!("of its own, in {}", config.data), config.data.clone())
        } else {
            ("as configured".to_owned(), "that PostgreSQL".to_owned())
        };
        let kept = match config.log {
            LogKind::Postgres => kept,
            LogKind::Kafka => format!("{kept} and Kafka"),
        };
        Self {
            commands: reachable(&config.listen.commands),
            queries: reachable(&config.listen.queries),
            log,
            postgres,
            kept,
            read_log: read_log(config),
        }
    }
}

/// With what the program cannot find out by itself. A configured database is: it comes from the
/// environment, and its password is not for the screen.
fn read_log(config: &Config) -> String {
    let program =
        std::env::current_exe().map_or_else(|_| "daybook".to_owned(), |path| path.display().to_string());
    let reading = match config.log {
        LogKind::Postgres => format!("{program} log read orders"),
        LogKind::Kafka => format!(
            "KAFKA_BROKERS={} {program} log read orders --log kafka",
            config.kafka.brokers
        ),
    };
    if config.postgres.url.is_empty() {
        format!("{reading} --data {}", config.data)
    } else {
        reading
    }
}
