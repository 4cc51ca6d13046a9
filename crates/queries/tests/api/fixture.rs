//! A query API over a database with empty read models.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use eventsourcing::clock::System;
use http_body_util::BodyExt;
use http_kit::conventions::{self, Conventions};
use queries::{Config, Reads};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::TestDatabase;
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// The columns the projections have, in tables instead of views: all the API sees is the names.
const READ_MODELS: &str = r#"
CREATE SCHEMA read;
CREATE TABLE read.checkpoints (projection TEXT, topic TEXT, partition INT, "offset" BIGINT, epoch BIGINT);
CREATE TABLE read.snapshots (projection TEXT, as_of TIMESTAMPTZ, name TEXT, only_types TEXT[], built_at TIMESTAMPTZ);
CREATE TABLE read.products (id TEXT, sku TEXT, name TEXT, description TEXT, brand TEXT, category TEXT,
    price BIGINT, currency TEXT, status TEXT, sequence BIGINT, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ);
CREATE TABLE read.availability (id TEXT, sku TEXT, on_hand BIGINT, reserved BIGINT, available BIGINT,
    sequence BIGINT, updated_at TIMESTAMPTZ);
CREATE TABLE read.orders (id TEXT, status TEXT, reason TEXT, customer TEXT, country TEXT, invoice TEXT,
    currency TEXT, total BIGINT, units BIGINT, lines JSONB, sequence BIGINT, placed_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ, shortage JSONB);
CREATE TABLE read.order_history (LIKE read.orders, entries JSONB);
CREATE TABLE read.sales (dimension TEXT, key TEXT, currency TEXT, orders BIGINT, units BIGINT,
    revenue BIGINT, credit_notes BIGINT, credited_units BIGINT, credited BIGINT);
"#;

pub(crate) struct Fixture {
    pub(crate) reads: Reads,
    router: Router,
    database: PgPool,
    watcher: JoinHandle<()>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: serde_json::Value,
    /// The body as it was sent.
    pub(crate) bytes: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.body["code"].as_str().expect("a problem has a code")
    }
}

/// A configuration for a fresh database with empty read models.
pub(crate) async fn config() -> (Config, TestDatabase) {
    let database = testkit::postgres().await;
    (Config::new(database.url.clone()), database)
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (mut config, database) = config().await;
        change(&mut config);
        Self::over(config, database).await
    }

    pub(crate) async fn over(config: Config, database: TestDatabase) -> Self {
        let database = PgPool::connect(&database.url).await.expect("connects");
        sqlx::raw_sql(READ_MODELS)
            .execute(&database)
            .await
            .expect("creates");
        let (reads, watcher) = Reads::new(config).expect("a URL");
        let router = queries::router(reads.clone());
        let router = conventions::apply(router, Conventions::new("queries"), Arc::new(System));
        let watcher = tokio::spawn(watcher.run());
        Self {
            reads,
            router,
            database,
            watcher,
        }
    }

    pub(crate) async fn sql(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement)
            .execute(&self.database)
            .await
            .expect("is fine");
    }

    pub(crate) async fn checkpoint(&self, projection: &str, service: &str, partition: u32, offset: u64) {
        self.sql(&format!(
            "INSERT INTO read.checkpoints VALUES ('{projection}', 'test.{service}.events', {partition}, {offset}, 1)"
        ))
        .await;
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("reads").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes: bytes.into(),
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
