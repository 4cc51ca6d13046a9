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
    let here = here(weight.peer);
    if here.is_empty() {
        return Ok(Vec::new());
    }
    let past = Past::make(grounds, durability, weight.events).await?;
    let mut rebuilding = Rebuilding::new(&grounds.daybook, &past).await?;
    let a = format!(
        "daybook rebuild of {} orders from {} events",
        rebuilding.rows, past.events
    );
    let mut rows = Vec::new();
    if here.contains(&Peer::Naive) {
        let mut naive = Projecting::of(&past);
        let series = alternate(&mut rebuilding, &mut naive, weight.plan).await?;
        let b = format!(
            "naive: a transaction an event, its first {} s",
            weight.plan.cell.as_secs_f64()
        );
        rows.extend(figures((&a, &b), durability.text(), &series));
    }
    if here.contains(&Peer::Emmett) {
        let mut emmett = Emmett::begin(&past, weight.peer_events).await?;
        let series = alternate(&mut rebuilding, &mut emmett, weight.plan).await?;
        let b = format!("{}, a rebuild from {} events", emmett.version, emmett.events);
        let (a_log, b_log) = (durability.text(), Durability::Postgres.text());
        let logs = format!("A: {a_log}; B: {b_log}");
        rows.extend(figures((&a, &b), &logs, &series));
    }
    Ok(rows)
}

/// Those of the wanted peers that can run on this machine; says why one cannot.
fn here(only: Option<Peer>) -> Vec<Peer> {
    let wanted = only.map_or_else(|| Peer::value_variants().to_vec(), |only| vec![only]);
    let runs = |peer: &Peer| match peer {
        Peer::Naive => true,
        Peer::Emmett => emmett::missing().is_none_or(|missing| {
            eprintln!("emmett is left out: {missing}");
            false
        }),
    };
    wanted.into_iter().filter(runs).collect()
}

fn figures(names: (&str, &str), log: &str, series: &Series) -> [Row; 2] {
    let row = |unit, figure: fn(&Cell) -> f64| Row::of("G9P", unit, Bar::None, names, log, (series, figure));
    [
        row("events/s", Cell::rate),
        row("MB of the process at most", Cell::megabytes_held),
    ]
}
