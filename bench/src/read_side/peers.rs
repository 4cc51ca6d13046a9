//! G9P: `daybook rebuild` beside what others do for the same rows: a projector with a transaction an event, and emmett's
//! rebuild. Each rebuilds in a process of its own, so that its memory can be told.

mod child;
mod daybook;
mod emmett;
mod naive;

use clap::ValueEnum;

use crate::cell::Cell;
use crate::goals::Weight;
use crate::report::{Bar, Row};
use crate::series::{Series, alternate};
use crate::stage::{Durability, Grounds};

use super::past::Past;
use daybook::Rebuilding;
use emmett::Emmett;
use naive::Projecting;
pub(crate) use naive::{Naive, project as project_naively};

/// Whom `daybook rebuild` is put beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// A projector with a transaction an event.
    Naive,
    /// The npm package `@event-driven-io/emmett-postgresql`.
    Emmett,
}

/// G9P.
pub(crate) async fn g9p(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let wants = |peer| weight.peer.is_none_or(|only| only == peer);
    let past = Past::make(grounds, durability, weight.events).await?;
    let mut rebuilding = Rebuilding::new(&grounds.daybook, &past).await?;
    let a = format!(
        "daybook rebuild of {} orders from {} events",
        rebuilding.rows, past.events
    );
    let mut rows = Vec::new();
    if wants(Peer::Naive) {
        let mut naive = Projecting::of(&past);
        let series = alternate(&mut rebuilding, &mut naive, weight.plan).await?;
        let b = format!(
            "naive: a transaction an event, its first {} s",
            weight.plan.cell.as_secs_f64()
        );
        rows.extend(figures((&a, &b), durability, &series));
    }
    if wants(Peer::Emmett) {
        match emmett::missing() {
            Some(missing) => eprintln!("emmett is left out: {missing}"),
            None => {
                let mut emmett = Emmett::begin(&past, weight.peer_events).await?;
                let b = format!("{}, a rebuild from {} events", emmett.version()?, emmett.events);
                let series = alternate(&mut rebuilding, &mut emmett, weight.plan).await?;
                rows.extend(figures((&a, &b), durability, &series));
            }
        }
    }
    Ok(rows)
}

fn figures(names: (&str, &str), durability: Durability, series: &Series) -> [Row; 2] {
    let row = |unit, figure: fn(&Cell) -> f64| {
        Row::of("G9P", unit, Bar::None, names, durability.text(), (series, figure))
    };
    [
        row("events/s", Cell::rate),
        row("MB of the process at most", Cell::megabytes_held),
    ]
}
