//! A toy bank: the smallest domain with rules, transfers between aggregates and a compensation, a view and
//! a tally.

pub(crate) mod account;
pub(crate) mod transfers;
pub(crate) mod views;
