//! Ids of the shop's aggregates, which are their keys in the log and their ids in the API.

use std::fmt;
use std::str::FromStr;

use eventsourcing::ids::{AggregateId, CommandId, NAMESPACE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sku::Sku;
use crate::text::Text;
use crate::value::InvalidValue;

/// Who ordered: the customer's id as the shop's own systems know it.
pub type CustomerId = Text<64>;
/// Where to: free text, as historical data has it.
pub type Country = Text<64>;
/// The number of a historical invoice.
pub type InvoiceNo = Text<64>;

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $code:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// The key of its records.
            pub fn aggregate(self) -> AggregateId {
                self.to_string().parse().expect("a prefix and 32 hex digits are a valid id")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let hex = text.strip_prefix($prefix).filter(|hex| hex.len() == 32);
                let uuid = hex.and_then(|hex| Uuid::try_parse(hex).ok());
                let wrong = || InvalidValue::new($code, concat!("an id is ", $prefix, " and 32 hex digits"));
                uuid.map(Self).ok_or_else(wrong)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidValue;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

prefixed_id!(
    /// `order_` and 32 hex digits.
    OrderId,
    "order_",
    "invalid_order_id"
);
prefixed_id!(
    /// `product_` and 32 hex digits.
    ProductId,
    "product_",
    "invalid_product_id"
);

impl OrderId {
    /// The id of the order that this command creates: a repeat of the command finds it.
    #[must_use]
    pub fn created_by(command: CommandId) -> Self {
        Self(Uuid::new_v5(&command.0, b"order"))
    }
}

impl ProductId {
    /// The id of the product with this SKU: a SKU belongs to one product by construction.
    #[must_use]
    pub fn of_sku(sku: &Sku) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("sku:{sku}").as_bytes()))
    }
}

/// What precedes the SKU in the key of its stock item.
pub const STOCK_PREFIX: &str = "stock_";

/// The key of the stock item of this SKU.
#[must_use]
pub fn stock_of(sku: &Sku) -> AggregateId {
    format!("{STOCK_PREFIX}{sku}")
        .parse()
        .expect("a prefix and a SKU are a valid id")
}
