//! An invoice as the command API takes it.

use csv::StringRecord;
use serde_json::{Value, json};

/// What an invoice becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Order,
    CreditNote,
}

impl Kind {
    /// By the invoice number: digits are an order, `C` and digits a credit note, others unknown.
    pub(super) fn of(number: &str) -> Option<Self> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match number.strip_prefix('C') {
            Some(rest) if digits(rest) => Some(Self::CreditNote),
            None if digits(number) => Some(Self::Order),
            _ => None,
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Order => "/v1/orders/import",
            Self::CreditNote => "/v1/credit-notes/import",
        }
    }
}

/// One good line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) fields: StringRecord,
    pub(super) sku: String,
    pub(super) description: Option<String>,
    pub(super) quantity: u64,
    pub(super) pence: i64,
    /// As in the file; its order is the order in time.
    pub(super) date: String,
    pub(super) customer: Option<String>,
    pub(super) country: String,
}

/// The good lines of one invoice number, in the file's order.
#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) number: String,
    pub(super) kind: Kind,
    pub(super) lines: Vec<Line>,
}

impl Invoice {
    /// The same key in every run.
    pub(super) fn key(&self) -> String {
        format!("online-retail/{}", self.number)
    }

    /// The command's body; `None` without lines.
    pub(super) fn body(&self) -> Option<Value> {
        let earliest = self.lines.iter().min_by_key(|line| (&line.date, line.number))?;
        let lines: Vec<Value> = self.lines.iter().map(line).collect();
        let mut body = json!({
            "invoice": self.number,
            "ordered_at": format!("{}Z", earliest.date.replacen(' ', "T", 1)),
            "country": earliest.country,
            "currency": "GBP",
            "lines": lines,
        });
        if let Some(customer) = &earliest.customer {
            body["customer"] = json!(customer);
        }
        Some(body)
    }
}

fn line(line: &Line) -> Value {
    let mut value = json!({
        "sku": line.sku,
        "quantity": line.quantity,
        "unit_price": { "amount": line.pence, "currency": "GBP" },
    });
    if let Some(description) = &line.description {
        value["description"] = json!(description);
    }
    value
}
