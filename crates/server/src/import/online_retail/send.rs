//! Sending one invoice: what the API refuses about single lines is rejected, the rest goes on.

use std::collections::BTreeMap;

use super::invoice::{Invoice, Kind};
use crate::import::client::{Client, Refused, SendError};
use crate::import::rejects::Rejected;

/// What became of an invoice.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) outcome: Outcome,
    /// SKUs of the accepted lines.
    pub(super) skus: Vec<String>,
    /// Lines the API refused.
    pub(super) rejected: Vec<Rejected>,
}

/// The invoice as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted {
        kind: Kind,
        replayed: bool,
    },
    /// None of its lines was good.
    Rejected,
    /// Interrupted before it was sent.
    Skipped,
}

impl Sent {
    pub(super) const fn skipped() -> Self {
        Self {
            outcome: Outcome::Skipped,
            skus: Vec::new(),
            rejected: Vec::new(),
        }
    }
}

/// Sends it; lines that the API names are taken out, and the rest is sent again under the same key
/// (a refusal is not remembered under its key).
pub(super) async fn invoice(client: &Client, mut invoice: Invoice) -> Result<Sent, SendError> {
    let mut rejected = Vec::new();
    while let Some(body) = invoice.body() {
        match client.post(invoice.kind.path(), &invoice.key(), &body).await {
            Ok(answer) => {
                let skus = invoice.lines.into_iter().map(|line| line.sku).collect();
                let outcome = Outcome::Accepted {
                    kind: invoice.kind,
                    replayed: answer.replayed,
                };
                return Ok(Sent {
                    outcome,
                    skus,
                    rejected,
                });
            }
            Err(SendError::Refused(refused)) => take_out(&mut invoice, &refused, &mut rejected),
            Err(error) => return Err(error),
        }
    }
    Ok(Sent {
        outcome: Outcome::Rejected,
        skus: Vec::new(),
        rejected,
    })
}

/// Moves the lines the refusal names to `rejected`; all of them when it names none.
fn take_out(invoice: &mut Invoice, refused: &Refused, rejected: &mut Vec<Rejected>) {
    let named: BTreeMap<usize, &str> = refused
        .errors
        .iter()
        .filter_map(|place| Some((line_of(&place.pointer)?, place.code.as_str())))
        .filter(|(index, _)| *index < invoice.lines.len())
        .collect();
    let mut kept = Vec::new();
    for (index, line) in std::mem::take(&mut invoice.lines).into_iter().enumerate() {
        let code = if named.is_empty() {
            Some(refused.code.as_str())
        } else {
            named.get(&index).copied()
        };
        match code {
            Some(code) => {
                rejected.push(Rejected {
                    line: line.number,
                    code: code.to_owned(),
                    fields: line.fields,
                });
            }
            None => kept.push(line),
        }
    }
    invoice.lines = kept;
}

/// `/lines/3/quantity` → 3.
fn line_of(pointer: &str) -> Option<usize> {
    pointer.strip_prefix("/lines/")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::client::Place;
    use crate::import::online_retail::read;

    fn two_lines() -> Invoice {
        let file = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                    1,a,A,6,2010-12-01 08:26:00,2.55,1,UK\n1,b,B,0,2010-12-01 08:26:00,2.55,1,UK\n";
        read::content(file.as_bytes()).expect("reads").invoices.remove(0)
    }

    #[test]
    fn only_the_lines_a_refusal_names_are_rejected() {
        let mut invoice = two_lines();
        let place = Place {
            pointer: "/lines/1/quantity".to_owned(),
            code: "invalid_quantity".to_owned(),
        };
        let refused = Refused {
            code: "invalid_request".to_owned(),
            detail: None,
            errors: vec![place],
        };
        let mut rejected = Vec::new();
        take_out(&mut invoice, &refused, &mut rejected);
        assert_eq!(invoice.lines.len(), 1);
        assert_eq!(
            (rejected[0].line, rejected[0].code.as_str()),
            (3, "invalid_quantity")
        );
    }

    #[test]
    fn a_refusal_of_the_whole_rejects_every_line() {
        let mut invoice = two_lines();
        let refused = Refused {
            code: "unknown_currency".to_owned(),
            detail: None,
            errors: Vec::new(),
        };
        let mut rejected = Vec::new();
        take_out(&mut invoice, &refused, &mut rejected);
        assert!(invoice.body().is_none());
        assert_eq!(rejected.len(), 2);
    }
}
