//! G14: more than a server can do. What it still does is held against its best, and a refusal against its bound.

use async_trait::async_trait;
use std::time::Duration;

use crate::cell::{Cell, Contender, histogram, note};
use crate::goals::{Weight, orders};
use crate::http::{Http, Pressure};
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::stage::{Durability, Grounds};

/// The load, as a multiple of the best rate.
const MULTIPLE: f64 = 3.0;
/// So many times the connections, so that there are always more requests than places.
const CONNECTIONS_MULTIPLE: usize = 4;
/// The bound of a refusal.
const REFUSAL_MAX: Duration = Duration::from_millis(5);
/// To find the best rate.
const PROBE: Duration = Duration::from_secs(5);

/// The server at its best, its refusals replaced by the bound that they are held against.
struct Best(Http);

#[async_trait]
impl Contender for Best {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let mut cell = self.0.run(duration).await?;
        let mut bound = histogram();
        note(&mut bound, REFUSAL_MAX);
        cell.refusals = bound;
        Ok(cell)
    }
}

/// G14: goodput and refusals at three times the load that it can do.
pub(crate) async fn g14(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let connections = weight.connections;
    // As many places as the best rate needs: what comes beyond them is refused at the door.
    let stage = grounds.daybook_limited(durability, Some(connections)).await?;
    let (verifier, _) = stage.orders().await?;
    let mut best = Best(orders(&stage, verifier, Pressure::Closed { connections }));
    best.run(PROBE).await?;
    let peak = best.run(PROBE).await?.rate();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "requests per second"
    )]
    let rate = (peak * MULTIPLE) as u32;
    let mut flood = Http {
        pressure: Pressure::Flood {
            rate,
            connections: connections * CONNECTIONS_MULTIPLE,
        },
        ..best.0.clone()
    };
    let series = alternate(&mut flood, &mut best, weight.plan).await?;
    let offered = format!("Daybook, orders, {rate} requests/s offered");
    let row = |unit, bar, limit: &str, figure: fn(&Cell) -> f64| {
        let names = (offered.as_str(), limit);
        Row::of("G14", unit, bar, names, durability.text(), (&series, figure))
    };
    let closed = format!("Daybook at its best, {connections} connections");
    Ok(vec![
        row("accepted/s", Bar::AtLeast(0.9), &closed, Cell::rate),
        row(
            "ms, p99 of refusals",
            Bar::AtMost(1.0),
            "the bound",
            Cell::refusal_p99_ms,
        ),
        row("answers/s", Bar::None, &closed, Cell::answered),
    ])
}
