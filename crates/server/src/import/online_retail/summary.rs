//! What the import did, counted so that it can be checked against the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::ensure;

use super::invoice::Kind;
use super::read::Retail;
use super::send::{Outcome, Sent};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Lines of the file, the header not counted.
    pub read: u64,
    /// Lines that are part of an accepted invoice.
    pub accepted: u64,
    /// Lines rejected, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Good lines of invoices that were not sent because of Ctrl-C.
    pub not_sent: u64,
    /// Orders accepted, in this run or before.
    pub orders: u64,
    /// Credit notes accepted, in this run or before.
    pub credit_notes: u64,
    /// Invoices accepted by this run.
    pub sent: u64,
    /// Invoices that an earlier run had sent.
    pub replayed: u64,
    skus: BTreeSet<String>,
    /// Good lines of the file.
    good: u64,
    /// Good lines that the API refused.
    refused: u64,
}

impl Summary {
    pub(super) fn of(file: &Retail) -> Self {
        let good = file
            .invoices
            .iter()
            .map(|invoice| invoice.lines.len() as u64)
            .sum();
        Self {
            read: file.read,
            good,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, sent: &Sent) {
        self.refused += sent.rejected.len() as u64;
        let Outcome::Accepted { kind, replayed } = sent.outcome else {
            return;
        };
        self.accepted += sent.skus.len() as u64;
        self.skus.extend(sent.skus.iter().cloned());
        match kind {
            Kind::Order => self.orders += 1,
            Kind::CreditNote => self.credit_notes += 1,
        }
        if replayed {
            self.replayed += 1;
        } else {
            self.sent += 1;
        }
    }

    /// Distinct SKUs of accepted lines.
    #[must_use]
    pub fn skus(&self) -> usize {
        self.skus.len()
    }

    /// Lines rejected in all.
    #[must_use]
    pub fn rejected_lines(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Accounts for every line: accepted + rejected + not sent = read.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.not_sent = self.good - self.accepted - self.refused;
        let (accepted, rejected, not_sent) = (self.accepted, self.rejected_lines(), self.not_sent);
        ensure!(
            accepted + rejected + not_sent == self.read,
            "lines are missing: {accepted} accepted + {rejected} rejected + {not_sent} not sent is not {} read",
            self.read
        );
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: u64| writeln!(f, "{name:<28}{value:>10}");
        row(f, "lines read", self.read)?;
        row(f, "  accepted", self.accepted)?;
        row(f, "  rejected", self.rejected_lines())?;
        for (code, lines) in &self.rejected {
            row(f, &format!("    {code}"), *lines)?;
        }
        if self.not_sent > 0 {
            row(f, "  not sent", self.not_sent)?;
        }
        row(f, "orders", self.orders)?;
        row(f, "credit notes", self.credit_notes)?;
        row(f, "SKUs", self.skus() as u64)?;
        row(f, "sent by this run", self.sent)?;
        write!(f, "{:<28}{:>10}", "replayed (sent before)", self.replayed)
    }
}
