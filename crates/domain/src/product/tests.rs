use eventsourcing::given::given;

use super::*;
use crate::money::Price;
use crate::sku::Sku;
use crate::text::Label;

fn sku() -> Sku {
    Sku::new("MUG-1").expect("valid")
}

fn created() -> ProductEvent {
    let name = Label::new("Mug").expect("valid");
    ProductEvent::Created(ProductCreated {
        sku: sku(),
        name,
        details: Details::default(),
    })
}

fn create() -> ProductCommand {
    let name = Label::new("Mug").expect("valid");
    ProductCommand::Create {
        sku: sku(),
        name,
        details: Details::default(),
    }
}

fn priced() -> ProductEvent {
    let (price, currency) = (Price::new(999).expect("valid"), "EUR".parse().expect("known"));
    ProductEvent::PriceSet(PriceSet {
        sku: sku(),
        price,
        currency,
    })
}

fn published() -> ProductEvent {
    let (price, currency) = (Price::new(999).expect("valid"), "EUR".parse().expect("known"));
    ProductEvent::Published(ProductPublished {
        sku: sku(),
        price,
        currency,
    })
}

#[test]
fn a_product_is_created_once() {
    given::<Product>([]).when(&create()).then(&created());
    given::<Product>([created()])
        .when(&create())
        .then_refused(&ProductRefusal::ProductExists);
}

#[test]
fn only_an_existing_product_changes() {
    given::<Product>([])
        .when(&ProductCommand::Publish)
        .then_refused(&ProductRefusal::ProductNotFound);
}

#[test]
fn a_published_product_has_a_price() {
    given::<Product>([created()])
        .when(&ProductCommand::Publish)
        .then_refused(&ProductRefusal::PriceMissing);
    given::<Product>([created(), priced()])
        .when(&ProductCommand::Publish)
        .then(&published());
}

#[test]
fn a_product_is_published_once() {
    let history = [created(), priced(), published()];
    given::<Product>(history)
        .when(&ProductCommand::Publish)
        .then_refused(&ProductRefusal::AlreadyPublished);
}

#[test]
fn an_update_names_something() {
    let nothing = ProductCommand::UpdateDetails {
        name: None,
        details: Details::default(),
    };
    given::<Product>([created()])
        .when(&nothing)
        .then_refused(&ProductRefusal::NothingToChange);
    let name = Some(Label::new("Cup").expect("valid"));
    let rename = ProductCommand::UpdateDetails {
        name: name.clone(),
        details: Details::default(),
    };
    let renamed = ProductDetailsUpdated {
        name,
        details: Details::default(),
    };
    given::<Product>([created()])
        .when(&rename)
        .then(&ProductEvent::DetailsUpdated(renamed));
}
