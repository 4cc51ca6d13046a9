//! What every log must do, as tests any adapter runs: the same list of cases on all of them.
//!
//! An adapter's test file names a function that makes a [`Harness`] and expands the list:
//!
//! ```ignore
//! eventsourcing::contract_suite!(harness);
//! ```

pub mod account;
mod node;
mod owned;
mod raw;
mod rivals;
mod sealed;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::Offset;
use crate::log::{Appended, Log};
use crate::record::{Record, Stored};
use crate::topic::{Topic, TopicPartition};

pub use owned::*;
pub use raw::*;
pub use rivals::*;
pub use sealed::*;

/// A log under test with a topic of its own.
pub struct Harness {
    /// The log.
    pub log: Arc<dyn Log>,
    /// An empty topic with [`Harness::PARTITIONS`] partitions that nobody else writes to.
    pub topic: Topic,
    /// Whatever must live as long as the test.
    pub guard: Box<dyn std::any::Any + Send>,
}

impl Harness {
    /// Partitions of the topic.
    pub const PARTITIONS: u32 = 3;

    fn at(&self, partition: u32) -> TopicPartition {
        self.topic.partition(partition)
    }

    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Vec<Offset> {
        match self.log.append(to, records).await {
            Appended::At(offsets) => offsets,
            Appended::Unknown(reason) => panic!("a healthy log knows: {reason}"),
        }
    }

    /// The first `count` records from `from` on.
    async fn read(&self, at: &TopicPartition, from: Offset, count: usize) -> Vec<Stored> {
        let reading = async {
            let mut reader = self.log.reader(vec![(at.clone(), from)]).await.expect("readable");
            let mut records = Vec::new();
            while records.len() < count {
                records.extend(reader.next(count - records.len()).await.expect("readable"));
            }
            records
        };
        tokio::time::timeout(DEADLINE, reading)
            .await
            .expect("the records arrive in time")
    }
}

/// No case may take longer for one step.
const DEADLINE: Duration = Duration::from_secs(30);

fn record(value: impl AsRef<[u8]>) -> Record {
    Record {
        key: Bytes::from_static(b"key"),
        value: Bytes::copy_from_slice(value.as_ref()),
        headers: vec![(Cow::Borrowed("ce_type"), Bytes::from_static(b"test"))],
    }
}

fn values(records: &[Stored]) -> Vec<String> {
    records
        .iter()
        .map(|stored| String::from_utf8_lossy(&stored.record.value).into_owned())
        .collect()
}

/// The list of cases, each as one test on the log that `$harness().await` makes.
#[macro_export]
macro_rules! contract_suite {
    ($harness:path) => {
        $crate::contract_suite!(@each $harness:
            an_empty_partition_begins_and_ends_at_zero,
            offsets_are_dense_and_rise,
            a_batch_keeps_its_order,
            records_come_back_as_written,
            a_large_record_comes_back,
            a_reader_begins_at_its_offset,
            a_reader_waits_for_new_records,
            a_reader_of_several_partitions_keeps_each_in_order,
            a_dropped_read_loses_nothing,
            a_second_read_agrees_with_the_first,
            the_bounds_include_everything_acknowledged,
            partitions_do_not_mix,
            concurrent_appends_are_all_there_once_and_in_order,
            an_offset_beyond_the_end_is_refused,
            a_missing_topic_is_named,
            an_accepted_command_is_in_the_log_at_its_position,
            a_refusal_writes_nothing,
            a_repeat_gets_the_first_outcome,
            concurrent_repeats_make_one_event,
            the_same_key_with_another_request_is_refused,
            a_wrong_expected_sequence_is_refused,
            a_new_owner_remembers_everything,
            a_deposed_owner_cannot_have_a_command_accepted,
            two_rivals_never_both_accept,
            a_sealed_partition_is_served_by_nobody_any_more,
            a_void_record_changes_nothing,
            a_corrupt_record_stops_the_owner_and_is_named,
            a_waiter_is_told_when_the_state_is_committed,
        );
    };
    (@each $harness:path: $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::contract::$case($harness().await).await;
            }
        )*
    };
}
