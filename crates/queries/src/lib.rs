//! The query API: the read models over HTTP. It only ever SELECTs, and knows neither the domain nor
//! the log: what it reads are the views of the schema `read`, kept by the projection runner.
//!
//! Every answer shows one snapshot and says which (`Daybook-Position`), and a reader who asks for a
//! position is never shown an older one ([`reads`]). Folder = resource, file = endpoint.

mod answer;
pub mod api;
pub mod config;
pub mod money;
pub mod orders;
mod parameters;
pub mod products;
pub mod reads;
pub mod sales;
pub mod stock;

pub use api::{openapi, router};
pub use config::Config;
pub use reads::{Reads, Watcher};
