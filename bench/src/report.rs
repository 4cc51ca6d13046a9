//! One Markdown table.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::cell::Cell;
use crate::series::{Figure, Series};
use crate::statistics::Estimate;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// With fewer null pairs their interval says nothing.
const NULL_PAIRS_MIN: usize = 4;

/// A null interval whose ends are further apart than this holds 1 whatever happens.
const NULL_SPREAD_MAX: f64 = 1.5;

/// What a ratio must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing is promised; the figure is for information.
    None,
}

/// One row.
pub(crate) struct Row {
    pub(crate) goal: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) figure: Option<Figure>,
    pub(crate) bar: Bar,
    pub(crate) durability: String,
    pub(crate) voids: Vec<String>,
}

impl Row {
    /// A row of one figure of a series.
    pub(crate) fn of(
        goal: &'static str,
        unit: &'static str,
        bar: Bar,
        names: (&str, &str),
        durability: impl Into<String>,
        (series, figure): (&Series, fn(&Cell) -> f64),
    ) -> Self {
        Self {
            goal,
            unit,
            a: names.0.to_owned(),
            b: names.1.to_owned(),
            figure: series.figure(figure),
            bar,
            durability: durability.into(),
            voids: series.voids(),
        }
    }
}

impl Bar {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {bar}"),
            Self::AtMost(bar) => format!("≤ {bar}"),
            Self::None => "–".to_owned(),
        }
    }

    /// By the median; said to be open when the interval holds the bar.
    fn verdict(self, figure: &Figure) -> &'static str {
        match figure.null {
            Some(null) if null.samples >= NULL_PAIRS_MIN => {
                if !null.contains(1.0) {
                    return "**void: the null pair lies beside 1**";
                }
                if null.high / null.low > NULL_SPREAD_MAX {
                    return "**noise: the null pair spreads too far**";
                }
            }
            Some(_) | None => return "too few pairs to say",
        }
        let (met, bar) = match self {
            Self::AtLeast(bar) => (figure.ratio.median >= bar, bar),
            Self::AtMost(bar) => (figure.ratio.median <= bar, bar),
            Self::None => return "–",
        };
        match (met, figure.ratio.contains(bar)) {
            (true, false) => "met",
            (true, true) => "met, interval holds the bar",
            (false, true) => "missed, interval holds the bar",
            (false, false) => "missed",
        }
    }
}

/// The table, with what it was measured on.
pub(crate) fn table(rows: &[Row], commit: &str, conditions: &str) -> String {
    let mut out = String::from(
        "| goal | A | B (limit) | unit | A | B | ratio A/B | 95 % interval | bar | null pair | durability | commit | verdict |\n\
         | --- | --- | --- | --- | ---: | ---: | ---: | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let cells = row.figure.as_ref().map_or_else(
            || {
                format!(
                    "– | – | – | – | {} | – | {} | {commit} | **void** |",
                    row.bar.text(),
                    row.durability
                )
            },
            |figure| measured(row, figure, commit),
        );
        let Row { goal, a, b, unit, .. } = row;
        writeln!(out, "| {goal} | {a} | {b} | {unit} | {cells}").expect("a string takes everything");
    }
    writeln!(out, "\n{conditions}").expect("a string takes everything");
    for row in rows.iter().filter(|row| !row.voids.is_empty()) {
        let voids = row.voids.join("; ");
        writeln!(out, "\nVoid in {} ({}): {voids}", row.goal, row.durability)
            .expect("a string takes everything");
    }
    out
}

fn measured(row: &Row, figure: &Figure, commit: &str) -> String {
    let interval = |estimate: &Estimate| format!("{:.2}–{:.2}", estimate.low, estimate.high);
    let null = figure.null.as_ref().map_or_else(|| "–".to_owned(), interval);
    format!(
        "{} | {} | **{:.2}** | {} (n = {}) | {} | {null} | {} | {commit} | {} |",
        number(figure.a.median),
        number(figure.b.median),
        figure.ratio.median,
        interval(&figure.ratio),
        figure.ratio.samples,
        row.bar.text(),
        row.durability,
        row.bar.verdict(figure),
    )
}

/// Three significant digits, thousands apart.
fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.3}");
    }
    if value < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Puts the table between the markers of a document.
pub(crate) fn write(document: &Path, table: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let replaced =
        replace(&text, table).with_context(|| format!("{} lacks {BEGIN} … {END}", document.display()))?;
    Ok(std::fs::write(document, replaced)?)
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(median: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            median,
            low,
            high,
            samples: 10,
        }
    }

    fn figure(ratio: Estimate, null: Estimate) -> Figure {
        Figure {
            a: estimate(40_123.0, 1.0, 2.0),
            b: estimate(34_000.0, 1.0, 2.0),
            ratio,
            null: Some(null),
        }
    }

    #[test]
    fn a_verdict_needs_a_sound_null_pair() {
        let sound = figure(estimate(1.17, 1.1, 1.2), estimate(1.0, 0.9, 1.1));
        let shifted = figure(estimate(1.17, 1.1, 1.2), estimate(1.2, 1.1, 1.3));
        assert_eq!(Bar::AtLeast(1.0).verdict(&sound), "met");
        assert_eq!(Bar::AtMost(1.0).verdict(&sound), "missed");
        assert_eq!(Bar::AtLeast(1.15).verdict(&sound), "met, interval holds the bar");
        assert!(Bar::AtLeast(1.0).verdict(&shifted).contains("void"));
        let noisy = figure(estimate(1.17, 1.1, 1.2), estimate(1.1, 0.8, 1.3));
        assert!(Bar::AtLeast(1.0).verdict(&noisy).contains("noise"));
        let mut few = sound;
        few.null = few.null.map(|null| Estimate { samples: 3, ..null });
        assert!(Bar::AtLeast(1.0).verdict(&few).contains("too few"));
    }

    #[test]
    fn a_row_without_a_whole_pair_is_void() {
        let row = Row {
            goal: "G3",
            unit: "commands/s",
            a: "a".to_owned(),
            b: "b".to_owned(),
            figure: None,
            bar: Bar::AtLeast(1.0),
            durability: "page cache".to_owned(),
            voids: vec!["cell 1 (A): lost".to_owned()],
        };
        let table = table(&[row], "abc", "");
        let columns = |line: &str| line.matches('|').count();
        let mut lines = table.lines();
        let head = lines.next().expect("a head");
        assert!(lines.take(2).all(|line| columns(line) == columns(head)));
        assert!(table.contains("**void**") && table.contains("lost"));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(40_123.0), "40,123");
        assert_eq!(number(0.0612), "0.061");
    }

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let text = format!("top\n{BEGIN}\nold\n{END}\nbottom\n");
        let new = replace(&text, "new\n").expect("markers");
        assert_eq!(new, format!("top\n{BEGIN}\nnew\n{END}\nbottom\n"));
        assert_eq!(replace("no markers", "new"), None);
    }
}
