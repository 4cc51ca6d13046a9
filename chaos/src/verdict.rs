//! After a run: everything that clients were told, and everything that is shown, against the whole log.

mod bounds;
mod evidence;
mod lie;
mod rows;
mod sums;
mod void;

use std::fmt::Display;
use std::process::Command;

use anyhow::Context;
use checker::{Commands, Findings, Report};
use clap::ValueEnum;
use projections::availability::Availability;
use projections::order_history::OrderHistory;
use projections::orders::Orders;
use projections::sales::Sales;

use crate::cluster::Cluster;
use crate::workload::Shared;

pub(crate) use evidence::Evidence;
pub(crate) use lie::Lie;
pub(crate) use void::{Void, void};

/// Breaches that are printed; more are counted.
const SHOWN_MAX: usize = 20;

/// What a run came to.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) breaches: Vec<String>,
    pub(crate) report: Report,
    /// What was compared, for people.
    pub(crate) notes: Vec<String>,
}

impl Verdict {
    pub(crate) fn breach(&mut self, breach: impl Display) {
        self.breaches.push(breach.to_string());
    }

    fn add(&mut self, findings: &Findings) {
        self.report += findings.report;
        findings.breaches.iter().for_each(|breach| self.breach(breach));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds to each breach what was asked and told of its command.
    pub(crate) fn explain(&mut self, evidence: &Evidence) {
        for breach in self.breaches.iter_mut().take(SHOWN_MAX) {
            let told = evidence.told_of(breach);
            breach.extend(told.iter().map(|attempt| format!("\n    {attempt}")));
        }
    }

    /// Prints what is wrong. An error when anything is.
    pub(crate) fn conclude(&self) -> anyhow::Result<()> {
        for breach in self.breaches.iter().take(SHOWN_MAX) {
            println!("BREACH {breach}");
        }
        let count = self.breaches.len();
        if count > SHOWN_MAX {
            println!("… and {} more", count - SHOWN_MAX);
        }
        anyhow::ensure!(count == 0, "{count} breaches");
        Ok(())
    }
}

/// Judges what was read; of a lie, when one is told. Nobody must be behind.
pub(crate) fn judge(evidence: &mut Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    bounds::bound(&mut evidence.stock);
    bounds::bound(&mut evidence.orders);
    verdict.add(&checker::check(
        &evidence.stock,
        &evidence.inventory_log,
        Commands::Some,
    ));
    verdict.add(&checker::check(
        &evidence.orders,
        &evidence.orders_log,
        Commands::Some,
    ));

    let at = |reader: &str| evidence.readers.get(reader).cloned().unwrap_or_default();
    let (inventory, orders, rows) = (&evidence.inventory_log, &evidence.orders_log, &evidence.rows);
    let differ = [
        rows::compare::<Availability>(inventory, &at("availability"), &rows.availability),
        rows::compare::<Orders>(orders, &at("orders"), &rows.orders),
        rows::compare::<OrderHistory>(orders, &at("order_history"), &rows.histories),
    ];
    verdict.breaches.extend(differ.into_iter().flatten());
    let differ = checker::check_tally::<Sales>(orders, &at("sales"), rows.sales.clone());
    for breach in &differ {
        verdict.breach(breach);
    }
    verdict.note(format!(
        "rows = fold of the log: {} of stock, {} of orders, {} of their histories, {} of sales",
        rows.availability.len(),
        rows.orders.len(),
        rows.histories.len(),
        rows.sales.len()
    ));
    sums::check(evidence, &mut verdict);
    verdict
}

/// What clients noticed themselves, and what they could not resolve.
pub(crate) fn clients(shared: &Shared, verdict: &mut Verdict) {
    for wrong in shared.record.take_wrong() {
        verdict.breach(wrong);
    }
    let unresolved = shared.record.counts.now().unresolved;
    if unresolved > 0 {
        verdict.breach(format!(
            "I3: {unresolved} commands stayed unknown though nothing is wrong any more"
        ));
    }
}

/// Tells each lie to a judge who knows nothing of it. Those that are not found are breaches.
pub(crate) fn lies(evidence: &Evidence, verdict: &mut Verdict) {
    for lie in Lie::value_variants() {
        let mut false_evidence = evidence.copy();
        match lie.tell(&mut false_evidence) {
            Ok(told) => match judge(&mut false_evidence).breaches.first() {
                Some(found) => verdict.note(format!("lie {lie:?} ({told}) is found: {found}")),
                None => verdict.breach(format!("lie {lie:?} is not found: {told}")),
            },
            Err(error) => verdict.note(format!("lie {lie:?} cannot be told of this run: {error:#}")),
        }
    }
}

/// `daybook rebuild --all`: every rebuilt read model must equal the live one (I9).
pub(crate) async fn rebuild(cluster: &Cluster, verdict: &mut Verdict) -> anyhow::Result<()> {
    let (url, brokers) = (cluster.database.url.clone(), cluster.broker.brokers.clone());
    let rebuilding = move || {
        Command::new(testkit::daybook_binary()?)
            .args(["rebuild", "--all", "--log", "kafka"])
            .env("DATABASE_URL", url)
            .env("KAFKA_BROKERS", brokers)
            .output()
            .context("daybook rebuild")
    };
    let output = tokio::task::spawn_blocking(rebuilding).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        verdict.breach(format!("I9: daybook rebuild --all: {}{error}", said.trim()));
    }
    for line in said.lines() {
        let equal = line.contains("equal to the ones before");
        if !equal {
            verdict.breach(format!("I9: {line}"));
        }
        verdict.note(format!("rebuilt: {line}"));
    }
    Ok(())
}
