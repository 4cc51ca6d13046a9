//! The shop's rules, and nothing else: no clock, no randomness, no I/O. Each aggregate has the same
//! files: what can be asked ([`order::OrderCommand`]), what can have happened, the state a decision
//! needs, why not; and one file with `decide` and `evolve`.

pub mod checkout;
mod events;
pub mod ids;
pub mod money;
pub mod order;
pub mod product;
pub mod quantity;
pub mod sku;
pub mod stock_item;
pub mod text;
pub mod value;

#[cfg(test)]
mod schemas;
