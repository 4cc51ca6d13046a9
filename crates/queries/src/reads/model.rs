//! The read models by name, and whose events they show.

use super::source::{AsOf, Source};

/// A projection this API reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadModel {
    /// Products.
    Products,
    /// Stock by SKU.
    Availability,
    /// Orders and credit notes.
    Orders,
    /// What happened to each of them.
    OrderHistory,
    /// Sales by country, month and SKU.
    Sales,
}

impl ReadModel {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Products,
        Self::Availability,
        Self::Orders,
        Self::OrderHistory,
        Self::Sales,
    ];

    /// The projection's name, as `read.checkpoints` has it.
    pub const fn projection(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Availability => "availability",
            Self::Orders => "orders",
            Self::OrderHistory => "order_history",
            Self::Sales => "sales",
        }
    }

    /// The service whose events it shows: positions of others do not concern it.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Products => "catalog",
            Self::Availability => "inventory",
            Self::Orders | Self::OrderHistory | Self::Sales => "orders",
        }
    }

    /// It as it is, or as it stood.
    pub(crate) const fn seen(self, as_of: Option<AsOf>) -> Source {
        Source { model: self, as_of }
    }
}
