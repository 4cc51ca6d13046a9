//! A series: A B B A A B B A …, so that a drift of the machine meets both alike.

use std::time::Duration;

use crate::cell::{Cell, Contender};
use crate::statistics::Estimate;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pairs: usize,
    pub(crate) cell: Duration,
}

/// The warm-up of each contender is discarded; connections, caches and the JVM's compiler need it.
const WARM_UP: Duration = Duration::from_secs(5);

/// The cells of a series in the order they ran.
pub(crate) struct Series {
    cells: Vec<(Side, Cell)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    A,
    B,
}

/// The n-th side of A B B A A B B A …
const fn side(index: usize) -> Side {
    match index % 4 {
        0 | 3 => Side::A,
        _ => Side::B,
    }
}

/// One figure of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) a: Estimate,
    pub(crate) b: Estimate,
    /// A over B, pair by pair.
    pub(crate) ratio: Estimate,
    /// Neighbours of the same side, the later over the earlier: must contain 1, or the run says
    /// nothing. `None` with fewer than two pairs.
    pub(crate) null: Option<Estimate>,
}

/// Runs the series.
pub(crate) async fn alternate(
    a: &mut dyn Contender,
    b: &mut dyn Contender,
    plan: Plan,
) -> anyhow::Result<Series> {
    eprintln!("A: {}\nB: {}", a.name(), b.name());
    a.run(WARM_UP).await?;
    b.run(WARM_UP).await?;
    let mut cells = Vec::new();
    for index in 0..2 * plan.pairs {
        let side = side(index);
        let cell = match side {
            Side::A => a.run(plan.cell).await?,
            Side::B => b.run(plan.cell).await?,
        };
        eprintln!("  {side:?} {}", summary(&cell));
        cells.push((side, cell));
    }
    Ok(Series { cells })
}

fn summary(cell: &Cell) -> String {
    let void = cell
        .void
        .as_deref()
        .map_or(String::new(), |why| format!(" VOID: {why}"));
    format!(
        "{:>8.0}/s {:>7.1} MB/s {:.3} CPU s/1000 p50 {:.2} ms p99 {:.2} ms, {} failures{void}",
        cell.rate(),
        cell.megabytes(),
        cell.cpu_per_thousand(),
        cell.p50_ms(),
        cell.p99_ms(),
        cell.failures,
    )
}

impl Series {
    /// A figure of the cells that count; `None` when no whole pair does.
    pub(crate) fn figure(&self, of: impl Fn(&Cell) -> f64) -> Option<Figure> {
        let value = |index: usize| {
            let (_, cell) = self.cells.get(index)?;
            cell.void.is_none().then(|| of(cell))
        };
        let values = |wanted: Side| -> Vec<f64> {
            let indices = (0..self.cells.len()).filter(|index| side(*index) == wanted);
            indices.filter_map(value).collect()
        };
        let ratios: Vec<f64> = (0..self.cells.len())
            .step_by(2)
            .filter_map(|start| {
                let (first, second) = (value(start)?, value(start + 1)?);
                Some(match side(start) {
                    Side::A => first / second,
                    Side::B => second / first,
                })
            })
            .collect();
        let nulls: Vec<f64> = (1..self.cells.len().saturating_sub(1))
            .step_by(2)
            .filter_map(|earlier| Some(value(earlier + 1)? / value(earlier)?))
            .collect();
        Some(Figure {
            a: Estimate::of(&values(Side::A))?,
            b: Estimate::of(&values(Side::B))?,
            ratio: Estimate::of(&ratios)?,
            null: Estimate::of(&nulls),
        })
    }

    /// Why cells do not count.
    pub(crate) fn voids(&self) -> Vec<String> {
        let voids = self.cells.iter().enumerate();
        voids
            .filter_map(|(index, (side, cell))| {
                Some(format!("cell {index} ({side:?}): {}", cell.void.as_ref()?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::histogram;

    fn series(rates: &[u64]) -> Series {
        let cell = |acknowledged| Cell {
            acknowledged,
            seconds: 1.0,
            cpu_seconds: 1.0,
            worked: acknowledged,
            bytes: 0,
            latencies: histogram(),
            failures: 0,
            refusals: histogram(),
            void: (acknowledged == 0).then(|| "broken".to_owned()),
        };
        let cells = rates.iter().enumerate();
        Series {
            cells: cells.map(|(index, rate)| (side(index), cell(*rate))).collect(),
        }
    }

    #[test]
    fn the_order_is_a_b_b_a() {
        let order: Vec<Side> = (0..8).map(side).collect();
        assert_eq!(
            order,
            [
                Side::A,
                Side::B,
                Side::B,
                Side::A,
                Side::A,
                Side::B,
                Side::B,
                Side::A
            ]
        );
    }

    #[test]
    fn a_ratio_is_a_over_b_whichever_ran_first() {
        let figure = series(&[200, 100, 50, 100]).figure(Cell::rate).expect("pairs");
        assert!((figure.ratio.median - 2.0).abs() < 1e-9);
        assert_eq!(
            (figure.ratio.samples, figure.null.map(|null| null.samples)),
            (2, Some(1))
        );
        assert!((figure.null.expect("one").median - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_void_cell_takes_its_pair_with_it() {
        let series = series(&[200, 0, 100, 300]);
        let figure = series.figure(Cell::rate).expect("a pair is left");
        assert!((figure.ratio.median - 3.0).abs() < 1e-9);
        assert_eq!(figure.ratio.samples, 1);
        assert_eq!(series.voids().len(), 1);
    }
}
