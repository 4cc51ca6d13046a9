//! The read models by name, and whose events they show.

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

    /// The view that shows the active version.
    pub(super) const fn view(self) -> &'static str {
        match self {
            Self::Products => "read.products",
            Self::Availability => "read.availability",
            Self::Orders => "read.orders",
            Self::OrderHistory => "read.order_history",
            Self::Sales => "read.sales",
        }
    }
}
