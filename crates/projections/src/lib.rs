//! The shop's read models: one view, one file. Each is a pure fold; what runs it, live and in a
//! rebuild, is `eventsourcing-postgres`.

pub mod availability;
pub mod orders;
pub mod products;
pub mod sales;
mod sequence;

#[cfg(test)]
mod tests;

use eventsourcing_postgres::projection::Projection;

/// All read models.
#[must_use]
pub fn all() -> Vec<Projection> {
    vec![
        Projection::view::<products::Products>(),
        Projection::view::<availability::Availability>(),
        Projection::view::<orders::Orders>(),
        Projection::tally::<sales::Sales>(),
    ]
}
