//! What a decision about a product needs.

use eventsourcing::states::KeptState;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Price};
use crate::sku::Sku;

/// `None` until it is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductState(pub(super) Option<Existing>);

/// A product that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Existing {
    pub(super) sku: Sku,
    pub(super) price: Option<(Price, Currency)>,
    pub(super) published: bool,
}

impl KeptState for ProductState {
    const NAME: &'static str = "product_states";
    const SERVICE: &'static str = super::SERVICE;
    const VERSION: u32 = 1;
}
