//! G11: an order by its id from the query API, against a bare axum handler over a sqlx pool that reads the same row of the
//! same table and writes the same JSON: no position, no snapshot, no `ETag`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{PgPool, Row as _};

use super::past::{self, Past};
use crate::cell::{Cell, Contender};
use crate::goals::Weight;
use crate::load::{Requests, closed};
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::stage::{Durability, Grounds};
use crate::system;

/// The connections of Daybook's pool, unless it is told otherwise.
const CONNECTIONS: u32 = 16;
/// Of the clients.
const CLIENTS: usize = 64;
/// Where a read stands; the load generator takes no answer without it for one that counts.
const POSITION: &str = "daybook-position";

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr, database: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .min_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect(database)
        .await?;
    let router = Router::new()
        .route("/v1/orders/{id}", get(order))
        .with_state(pool);
    crate::pass_through::answer(address, router).await
}

const SELECT: &str = "SELECT id, status, reason, invoice, customer, country, currency, total, units, lines, \
                      to_char(placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS placed_at, \
                      to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS updated_at, \
                      sequence FROM read.orders WHERE id = $1";

async fn order(State(pool): State<PgPool>, Path(id): Path<String>) -> Response {
    let found = sqlx::query(SELECT).bind(id).fetch_optional(&pool).await;
    match found.and_then(|row| row.map(|row| json_of(&row)).transpose()) {
        Ok(Some(order)) => {
            let position = [(HeaderName::from_static(POSITION), "orders/0@0")];
            (position, Json(order)).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn json_of(row: &PgRow) -> Result<Value, sqlx::Error> {
    let currency: String = row.try_get("currency")?;
    let total: i64 = row.try_get("total")?;
    let lines: Value = row.try_get("lines")?;
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    Ok(json!({
        "id": text("id")?, "status": text("status")?, "customer": text("customer")?, "country": text("country")?,
        "total": {"amount": total, "currency": currency}, "units": row.try_get::<i64, _>("units")?, "lines": lines,
        "placed_at": text("placed_at")?, "updated_at": text("updated_at")?,
        "sequence": row.try_get::<i64, _>("sequence")?,
    }))
}

/// One order after the other, by a stride that meets all of them in no order.
struct ById {
    partitions: u32,
    orders: u64,
}

const STRIDE: u64 = 7_919;

impl Requests for ById {
    fn write(&self, number: u64, out: &mut Vec<u8>) {
        let number = number * STRIDE;
        let partition = u32::try_from(number % u64::from(self.partitions)).expect("a partition");
        let id = past::order(partition, number / u64::from(self.partitions) % self.orders);
        write!(out, "GET /v1/orders/{id} HTTP/1.1\r\nhost: bench\r\n\r\n")
            .expect("a vector takes everything");
    }
}

struct Reading {
    name: &'static str,
    load: closed::Load,
}

#[async_trait]
impl Contender for Reading {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let load = closed::Load {
            duration,
            ..self.load.clone()
        };
        let tally = closed::run(load).await?;
        let failures = tally.refused + tally.unknown;
        Ok(Cell {
            acknowledged: tally.in_time,
            cpu_seconds: tally.cpu_seconds,
            worked: tally.acks.len() as u64,
            latencies: tally.latencies,
            failures,
            void: tally.first_failure,
            ..Cell::of_one(duration)
        })
    }
}

/// G11.
pub(crate) async fn g11(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let past = Past::make(grounds, durability, weight.events).await?;
    let requests = Arc::new(ById {
        partitions: past.partitions,
        orders: past.orders,
    });
    let load = |server: &system::Server| closed::Load {
        server: server.address,
        connections: CLIENTS,
        duration: weight.plan.cell,
        requests: Arc::clone(&requests) as Arc<dyn Requests>,
        numbers: Arc::default(),
    };
    let daybook = system::queries(&grounds.daybook, &past.database).await?;
    let bare = system::by_id(&past.database).await?;
    let mut a = Reading {
        name: "Daybook, orders by id",
        load: load(&daybook),
    };
    let mut b = Reading {
        name: "axum + sqlx, the same rows",
        load: load(&bare),
    };
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let names = (
        "Daybook, an order by its id, nothing cached",
        "bare axum + sqlx: the row by its id as JSON",
    );
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G11", unit, bar, names, durability.text(), (&series, figure))
    };
    Ok(vec![
        row("reads/s", Bar::AtLeast(0.85), Cell::rate),
        row("CPU s per 1,000", Bar::None, Cell::cpu_per_thousand),
    ])
}
