//! The shop's read models: one view, one file. Each is a pure fold; what runs it, live and in a
//! rebuild, is `eventsourcing-postgres`.

pub mod availability;
pub mod order_history;
pub mod orders;
pub mod products;
pub mod sales;
mod sequence;

#[cfg(test)]
mod tests;

use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use eventsourcing::states::States;
use eventsourcing_postgres::projection::Projection;

/// All projections.
#[must_use]
pub fn all() -> Vec<Projection> {
    read_models().into_iter().chain(states()).collect()
}

/// What queries read.
#[must_use]
pub fn read_models() -> Vec<Projection> {
    vec![
        Projection::view::<products::Products>(),
        Projection::view::<availability::Availability>(),
        Projection::view::<orders::Orders>(),
        Projection::view::<order_history::OrderHistory>(),
        Projection::tally::<sales::Sales>(),
    ]
}

/// What new owners start from.
#[must_use]
pub fn states() -> Vec<Projection> {
    vec![
        Projection::view::<States<Product>>(),
        Projection::view::<States<StockItem>>(),
        Projection::view::<States<Order>>(),
    ]
}
