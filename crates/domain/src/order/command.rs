//! What can be asked of an order.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::line::Lines;
use crate::ids::{Country, CustomerId, InvoiceNo};
use crate::money::{Currency, Money};
use crate::sku::Sku;
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
        reason: Unfulfillable,
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

/// What stands in the way of an order, as the checkout found it. Commands travel between nodes of different builds, so this has
/// a form of its own, which does not change when the event's does; what the order knows itself is added by its decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case", deny_unknown_fields)]
pub enum Unfulfillable {
    /// Too few units are free.
    InsufficientStock {
        /// Of what.
        sku: Sku,
        /// How many are.
        available: i64,
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
    pub lines: Arc<Lines>,
}
