//! What can be asked of an order.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::event::RejectReason;
use super::line::Lines;
use crate::ids::{Country, CustomerId, InvoiceNo};
use crate::money::{Currency, Money};
use crate::text::Label;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OrderCommand {
    /// A customer orders; the prices are looked up already.
    Place(Arc<Sale>),
    /// A customer orders, but a price does not stand. Refused, unless it repeats an order that was
    /// placed when it did: only the order's memory of commands can tell, so the order is asked.
    PlaceMispriced(Mispriced),
    /// Everything is reserved.
    Confirm,
    /// It cannot be fulfilled.
    Reject {
        /// Why.
        reason: RejectReason,
    },
    /// Somebody changed their mind.
    Cancel {
        /// Why.
        reason: Label,
    },
    /// An order of the past: reserves nothing, starts nothing.
    Import {
        /// Its invoice.
        invoice: InvoiceNo,
        /// When it was ordered.
        #[serde(with = "time::serde::rfc3339")]
        ordered_at: OffsetDateTime,
        /// What.
        sale: Arc<Sale>,
    },
    /// A credit note of the past; its quantities are what was given back.
    ImportCreditNote {
        /// Its number.
        invoice: InvoiceNo,
        /// When it was written.
        #[serde(with = "time::serde::rfc3339")]
        ordered_at: OffsetDateTime,
        /// What.
        sale: Arc<Sale>,
    },
}

/// A line whose price does not stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mispriced {
    /// The SKU is not on sale in the order's currency.
    UnknownSku {
        /// The line's index, from 0.
        line: usize,
    },
    /// The price is not the one the customer saw.
    PriceChanged {
        /// The line's index, from 0.
        line: usize,
        /// The price now.
        now: Money,
    },
}

/// Who buys what: the part that all orders share.
//
// Behind an `Arc` wherever it goes, so that command, event and state of one order are one copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// Who; `None` for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Of all its prices.
    pub currency: Currency,
    /// What.
    pub lines: Lines,
}
