//! The command API: HTTP in, owner of the aggregate, answer out. Folder = resource, file = endpoint.
//!
//! An endpoint parses its body into values of the domain, names the aggregate, and hands the command
//! to a [`eventsourcing::dispatch::Dispatch`]; everything around that is shared ([`request`],
//! [`answer`], [`failure`]).

pub mod answer;
pub mod api;
mod body;
mod credit_notes;
pub mod failure;
pub mod internal;
mod orders;
pub mod ports;
pub mod price_list;
mod products;
pub mod request;
mod stock;

pub use api::{CommandApi, Config, openapi, router};
