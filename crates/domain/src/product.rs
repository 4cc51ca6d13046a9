//! A product: one SKU, its details, its price, whether it is on sale.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

use eventsourcing::aggregate::Aggregate;

pub use command::{Details, ProductCommand};
pub use error::ProductRefusal;
pub use event::{PriceSet, ProductCreated, ProductDetailsUpdated, ProductEvent, ProductPublished};
use state::Existing;
pub use state::ProductState;

/// The aggregate; its topic is `catalog`.
pub struct Product;

/// The service whose topic holds it.
pub const SERVICE: &str = "catalog";

impl Aggregate for Product {
    type State = ProductState;
    type Command = ProductCommand;
    type Event = ProductEvent;
    type Refusal = ProductRefusal;

    fn decide(state: &ProductState, command: &ProductCommand) -> Result<ProductEvent, ProductRefusal> {
        match (command, &state.0) {
            (ProductCommand::Create { sku, name, details }, None) => {
                Ok(ProductEvent::Created(ProductCreated {
                    sku: sku.clone(),
                    name: name.clone(),
                    details: details.clone(),
                }))
            }
            (ProductCommand::Create { .. }, Some(_)) => Err(ProductRefusal::ProductExists),
            (_, None) => Err(ProductRefusal::ProductNotFound),
            (ProductCommand::UpdateDetails { name: None, details }, Some(_)) if details.is_empty() => {
                Err(ProductRefusal::NothingToChange)
            }
            (ProductCommand::UpdateDetails { name, details }, Some(_)) => {
                let (name, details) = (name.clone(), details.clone());
                Ok(ProductEvent::DetailsUpdated(ProductDetailsUpdated {
                    name,
                    details,
                }))
            }
            (ProductCommand::SetPrice { price, currency }, Some(product)) => {
                Ok(ProductEvent::PriceSet(PriceSet {
                    sku: product.sku.clone(),
                    price: *price,
                    currency: *currency,
                }))
            }
            (ProductCommand::Publish, Some(Existing { published: true, .. })) => {
                Err(ProductRefusal::AlreadyPublished)
            }
            (ProductCommand::Publish, Some(product)) => {
                let (price, currency) = product.price.ok_or(ProductRefusal::PriceMissing)?;
                Ok(ProductEvent::Published(ProductPublished {
                    sku: product.sku.clone(),
                    price,
                    currency,
                }))
            }
        }
    }

    fn evolve(state: &mut ProductState, event: &ProductEvent) {
        match (event, &mut state.0) {
            (ProductEvent::Created(created), product) => {
                *product = Some(Existing {
                    sku: created.sku.clone(),
                    price: None,
                    published: false,
                });
            }
            (ProductEvent::PriceSet(set), Some(product)) => product.price = Some((set.price, set.currency)),
            (ProductEvent::Published(_), Some(product)) => product.published = true,
            // Details decide nothing, and an event of a product that does not exist cannot be.
            (ProductEvent::DetailsUpdated(_) | ProductEvent::PriceSet(_) | ProductEvent::Published(_), _) => {
            }
        }
    }
}
