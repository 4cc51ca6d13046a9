//! The promises, on whole processes with a real PostgreSQL and a real Kafka. Each test runs on both
//! logs; `docs/guarantees.md` says which promise rests on which test.

mod as_of;
mod away;
mod bad_input;
mod copy;
mod deploy;
mod evolution;
mod history;
mod house;
mod idempotency;
mod import;
mod last_item;
mod nodes;
mod parked;
mod position;
mod readers;
mod rebuild;
mod repartition;
mod shop;
mod states;
mod walk;

/// Runs each test once on either log.
macro_rules! on_both_logs {
    ($($name:ident),+ $(,)?) => {
        mod postgres_log {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::shop::Log::Postgres).await;
                }
            )+
        }

        mod kafka_log {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::shop::Log::Kafka).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_logs;
