//! A real PostgreSQL and a real Kafka as child processes: the embedded default of `daybook up`, and
//! what the tests run on. All calls block; async callers wrap them.
//!
//! A child outlives a parent that is killed. So both leave on disk what the next start needs to
//! adopt it, and a data directory has one user at a time (an OS file lock).

mod error;
pub mod kafka;
mod ports;
pub mod postgres;
mod unprivileged;

pub use error::EmbeddedError;
pub use ports::free_port;
