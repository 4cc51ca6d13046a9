//! The table at the end.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::nemesis::Done;
use crate::recovery::{Cause, Orphan};
use crate::verdict::{Verdict, Void};
use crate::workload::Shared;

/// Rows of a Markdown table, in order.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, String)>);

impl Table {
    pub(crate) fn row(&mut self, what: impl Into<String>, value: impl fmt::Display) {
        self.0.push((what.into(), format!("{value}")));
    }

    /// What clients were told.
    pub(crate) fn answers(&mut self, shared: &Shared) {
        let counts = shared.record.counts.now();
        let reasons = shared.record.reasons().clone();
        self.row(
            "ok",
            format!("{} ({} of them repeats)", counts.accepted, counts.replayed),
        );
        let refused = list(
            reasons
                .refused
                .iter()
                .map(|(code, count)| (code.as_str(), *count)),
        );
        self.row("refused", format!("{}{refused}", counts.refused));
        let why = list(reasons.not_attempted.iter().map(|(why, count)| (*why, *count)));
        self.row("not attempted", format!("{}{why}", counts.not_attempted));
        let why = list(
            reasons
                .unknown
                .iter()
                .map(|(doubt, count)| (doubt.text(), *count)),
        );
        self.row("unknown", format!("{}{why}", counts.unknown));
        self.row(
            "commands once unknown",
            format!(
                "{} had been written, {} were written by the repeat, {} were refused at the repeat, {} never resolved",
                counts.resolved_written, counts.resolved_anew, counts.resolved_refused, counts.unresolved
            ),
        );
        self.row("commands sent to two nodes at once", counts.crossing);
        self.row(
            "reads with a position",
            format!(
                "{} answered, {} not reached in time, {} without an answer",
                counts.reads, counts.reads_late, counts.reads_failed
            ),
        );
    }

    /// What was done to the cluster.
    pub(crate) fn faults(&mut self, done: &Done) {
        self.row("kills of a node", done.kills);
        self.row("pauses past the session", done.pauses);
        self.row("terminations (rolling)", done.terminations);
        self.row("broker restarts after kill -9", done.broker_restarts);
        self.row(
            "database restarts after an immediate stop",
            done.database_restarts,
        );
        self.row(
            "cuts, black holes, delays",
            format!("{}, {}, {}", done.cuts, done.black_holes, done.delays),
        );
        self.row("starts that failed while a part was away", done.failed_starts);
        self.row("slowest way back to readiness", seconds(done.slowest_start));
    }

    /// What the log holds.
    pub(crate) fn log(&mut self, verdict: &Verdict) {
        let report = &verdict.report;
        self.row("events that count", report.events);
        self.row("terms", report.terms);
        self.row("fences that lost their race", report.fences - report.terms);
        self.row("void events", report.void);
        self.row("checkpoints seen", report.checkpoints);
        self.row("breaches", verdict.breaches.len());
    }

    /// What came too late.
    pub(crate) fn zombies(&mut self, void: &Void) {
        let by = list(void.events.iter().map(|(node, count)| (node.as_str(), *count)));
        self.row("void events by the node that wrote them", by.trim());
        let told = list(void.told.iter().map(|(told, count)| (*told, *count)));
        self.row("attempts of commands with a void event were told", told.trim());
    }

    /// From the loss of an owner to the first accepted command on each of its partitions. The group notices
    /// after `bound` at the latest, unless the owner says so itself.
    pub(crate) fn recovery(&mut self, orphans: &[Orphan], bound: Duration) {
        for cause in Cause::ALL {
            let of = || orphans.iter().filter(|orphan| orphan.cause == cause);
            let mut took: Vec<Duration> = of().filter_map(|orphan| orphan.took).collect();
            took.sort_unstable();
            if let (Some(median), Some(worst)) = (took.get(took.len() / 2), took.last()) {
                let late = took.iter().filter(|took| **took > bound).count();
                let figures = format!(
                    "median {}, worst {}; {late} of {} later than {}; {} without a new command",
                    seconds(*median),
                    seconds(*worst),
                    took.len(),
                    seconds(bound),
                    of().count() - took.len()
                );
                let what = format!("{} to the first new command of a partition", cause.text());
                self.row(what, figures);
            }
        }
    }

    /// As Markdown.
    pub(crate) fn print(&self, title: &str) {
        let width = self
            .0
            .iter()
            .map(|(what, _)| what.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = format!(
            "\n## {title}\n\n| {:width$} | |\n| {} | --- |\n",
            "",
            "-".repeat(width)
        );
        for (what, value) in &self.0 {
            writeln!(text, "| {what:width$} | {value} |").expect("a string takes everything");
        }
        println!("{text}");
    }
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn list<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts: Vec<String> = counts.map(|(what, count)| format!("{what} {count}")).collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!(" ({})", counts.join(", "))
    }
}
