//! Databases: one server per test process, one database per test.

use std::sync::OnceLock;

use anyhow::Context;
use embedded::postgres::{Options, Postgres};
use sqlx::{Connection, Executor, PgConnection};

use crate::directory;
use crate::tether::Tether;

/// Several tests run at once, some of them with three nodes.
const CONNECTIONS_MAX: &str = "500";

/// A database of one test.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// For `DATABASE_URL`.
    pub url: String,
}

/// A fresh database on the shared server.
pub async fn postgres() -> TestDatabase {
    let admin = admin_url().expect("a PostgreSQL for tests");
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&admin).await.expect("the server answers");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.expect("may create databases");
    let (server, _) = admin.rsplit_once('/').expect("a URL with a database");
    TestDatabase {
        url: format!("{server}/{name}"),
    }
}

/// A server of the test's own, to be killed. Dropping it stops it.
pub fn private_postgres() -> (Postgres, tempfile::TempDir) {
    let directory = directory().expect("a directory");
    let server = Postgres::start(&Options::new(directory.path()), |_| ()).expect("starts");
    (server, directory)
}

/// The server of a private directory again, on the port it had.
pub fn restart_postgres(data: &std::path::Path, port: u16) -> Postgres {
    let options = Options {
        port: Some(port),
        ..Options::new(data)
    };
    Postgres::start(&options, |_| ()).expect("starts")
}

fn admin_url() -> anyhow::Result<String> {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    if let Ok(given) = std::env::var("DATABASE_URL") {
        return Ok(given);
    }
    SERVER
        .get_or_init(|| start().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn start() -> anyhow::Result<String> {
    let directory = directory()?;
    let mut options = Options::new(directory.path());
    options
        .settings
        .push(("max_connections".to_owned(), CONNECTIONS_MAX.to_owned()));
    let server = Postgres::start(&options, |line| eprintln!("{line}")).context("local PostgreSQL")?;
    let tether = Tether::to(server.process_id(), Some(directory.path()))?;
    let url = server.url("postgres");
    // All live until the process ends; the tether clears up behind it.
    std::mem::forget((server, directory, tether));
    Ok(url)
}
