//! The broker and the database, to be stopped as nobody would and started again on their data.

use std::path::PathBuf;

use anyhow::Context;
use embedded::kafka::{self, Kafka, Listener};
use embedded::postgres::{self, Postgres};
use testkit::Tether;
use tokio::task::spawn_blocking;

/// Of three nodes' pools and those of a rebuild.
const CONNECTIONS_MAX: &str = "200";

/// A Kafka with a listener for each node.
pub(crate) struct Broker {
    kafka: Option<Kafka>,
    tether: Option<Tether>,
    /// The listener that no proxy is before.
    pub(crate) brokers: String,
}

impl Broker {
    pub(super) async fn start(data: PathBuf, listeners: Vec<Listener>) -> anyhow::Result<Self> {
        let options = kafka::Options {
            listeners,
            ..kafka::Options::new(data)
        };
        let kafka = spawn_blocking(move || Kafka::start(&options, |line| println!("{line}"))).await??;
        Ok(Self {
            brokers: kafka.brokers(),
            tether: Some(Tether::to(kafka.process_id(), None)?),
            kafka: Some(kafka),
        })
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.kafka
            .as_mut()
            .context("the broker is being started")?
            .kill()?;
        if let Some(tether) = self.tether.take() {
            tether.release();
        }
        Ok(())
    }

    /// Again, with the same data and ports.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        let mut kafka = self.kafka.take().context("the broker is being started")?;
        let restarted = spawn_blocking(move || kafka.restart().map(|()| kafka)).await?;
        let kafka = restarted?;
        self.tether = Some(Tether::to(kafka.process_id(), None)?);
        self.kafka = Some(kafka);
        Ok(())
    }
}

/// A PostgreSQL.
pub(crate) struct Database {
    data: PathBuf,
    server: Option<Postgres>,
    tether: Option<Tether>,
    pub(crate) port: u16,
    /// No proxy is before it; holds the password.
    pub(crate) url: String,
}

impl Database {
    pub(super) async fn start(data: PathBuf) -> anyhow::Result<Self> {
        let mut database = Self {
            data,
            server: None,
            tether: None,
            port: embedded::free_port()?,
            url: String::new(),
        };
        database.restart().await?;
        Ok(database)
    }

    /// The URL with another port.
    pub(super) fn through(&self, port: u16) -> String {
        self.url
            .replace(&format!(":{}/", self.port), &format!(":{port}/"))
    }

    /// `pg_ctl stop -m immediate`: no shutdown, and recovery at the next start.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let server = self.server.take().context("the database does not run")?;
        spawn_blocking(move || server.stop_immediately()).await??;
        if let Some(tether) = self.tether.take() {
            tether.release();
        }
        Ok(())
    }

    /// Again, with the same data and port.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        let mut options = postgres::Options::new(&self.data);
        options.port = Some(self.port);
        options
            .settings
            .push(("max_connections".to_owned(), CONNECTIONS_MAX.to_owned()));
        let started = spawn_blocking(move || Postgres::start(&options, |line| println!("{line}"))).await?;
        let server = started?;
        self.url = server.url("postgres");
        self.tether = Some(Tether::to(server.process_id(), None)?);
        self.server = Some(server);
        Ok(())
    }
}
