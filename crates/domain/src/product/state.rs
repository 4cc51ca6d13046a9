//! What a decision about a product needs.

use crate::money::{Currency, Price};
use crate::sku::Sku;

/// `None` until it is created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductState(pub(super) Option<Existing>);

/// A product that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) sku: Sku,
    pub(super) price: Option<(Price, Currency)>,
    pub(super) published: bool,
}
