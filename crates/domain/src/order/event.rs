//! What can have happened to an order. Each event carries what its readers need, so that processes
//! and counters need no memory of earlier ones.

mod v1;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::command::{Sale, Unfulfillable};
use super::line::{Item, units_of};
use super::state::CancelledFrom;
use crate::events::events;
use crate::ids::InvoiceNo;
use crate::sku::Sku;
use crate::text::Label;

events! {
    /// See the module.
    pub OrderEvent {
        /// A customer ordered.
        Placed(OrderPlaced) = "daybook.order.placed.v1",
        /// Everything is reserved: it is a sale.
        Confirmed(OrderConfirmed) = "daybook.order.confirmed.v1",
        /// It cannot be fulfilled.
        Rejected(OrderRejected) = "daybook.order.rejected.v2" from {
            "daybook.order.rejected.v1" as v1::OrderRejected,
        },
        /// Somebody changed their mind.
        Cancelled(OrderCancelled) = "daybook.order.cancelled.v1",
        /// An order of the past.
        Imported(OrderImported) = "daybook.order.imported.v1" at ordered_at,
        /// A credit note of the past.
        CreditNoteImported(CreditNoteImported) = "daybook.order.credit_note_imported.v1" at ordered_at,
    }
}

/// A customer ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPlaced {
    /// Who ordered what.
    pub sale: Arc<Sale>,
}

/// Everything is reserved: it is a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderConfirmed {
    /// Who ordered what.
    pub sale: Arc<Sale>,
}

/// It cannot be fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRejected {
    /// Why.
    pub reason: RejectReason,
    /// What may be reserved for it and is to be released.
    pub items: Vec<Item>,
}

/// Why an order cannot be fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case", deny_unknown_fields)]
pub enum RejectReason {
    /// Too few units were free.
    InsufficientStock {
        /// Of what.
        sku: Sku,
        /// How many were.
        available: i64,
        /// How many the order asked for, all of its lines together.
        requested: i64,
    },
}

impl RejectReason {
    /// What stood in the way of an order of these items.
    pub(super) fn of(cause: &Unfulfillable, items: &[Item]) -> Self {
        match cause {
            Unfulfillable::InsufficientStock { sku, available } => Self::InsufficientStock {
                sku: sku.clone(),
                available: *available,
                requested: units_of(items, sku),
            },
        }
    }

    /// Stable, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InsufficientStock { .. } => "insufficient_stock",
        }
    }
}

/// Somebody changed their mind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderCancelled {
    /// Why.
    pub reason: Label,
    /// Whether it was a sale already.
    pub from: CancelledFrom,
    /// What is to be released, and taken back where it was a sale.
    pub sale: Arc<Sale>,
}

/// An order of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderImported {
    /// Its invoice.
    pub invoice: InvoiceNo,
    /// When it was ordered.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String")]
    pub ordered_at: OffsetDateTime,
    /// Who ordered what.
    pub sale: Arc<Sale>,
}

/// A credit note of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditNoteImported {
    /// Its number.
    pub invoice: InvoiceNo,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String")]
    pub ordered_at: OffsetDateTime,
    /// Who gave back what; quantities are positive.
    pub sale: Arc<Sale>,
}
