//! The event log on Apache Kafka. The only crate that speaks to librdkafka.
//!
//! No transactions, and a consumer group only to share out who tries to own what: validity is decided by rule R
//! from the log itself, so all this crate does is append batches, read partitions and look at watermarks.

mod admin;
mod complaints;
mod consumers;
mod group;
mod log;
mod producer;
mod questions;
mod reader;

pub use admin::{Finding, Flush, Keeps, Severity, TopicSettings, check_topics, create_topics};
pub use group::{GroupAssignment, GroupConfig, Joined, Membership, join};
pub use log::{Config, KafkaLog};
