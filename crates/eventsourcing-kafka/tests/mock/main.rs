//! The adapter against librdkafka's mock cluster: every error code a broker can answer, on whatever the adapter
//! asks of it; slow brokers and dying ones. Whatever comes, an append ends in time and its answer is honest, a
//! reader leaves nothing out and repeats nothing, and when it is over the same log works.
//!
//! What the mock cannot do is said where it would be needed: errors on a whole `Metadata` request, a record
//! written and answered with an error, weeding out repeats, limits of session
//! time-outs. For the second and third there is `frozen.rs`, for the last `tests/group.rs`, with a real broker.

mod ask;
mod brokers;
mod cluster;
mod fetch;
mod frozen;
mod group;
mod ledger;
mod liar;
mod produce;
