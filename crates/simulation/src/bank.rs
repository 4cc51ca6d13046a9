//! A toy bank: the smallest domain with rules, transfers between aggregates and a compensation.

pub(crate) mod account;
