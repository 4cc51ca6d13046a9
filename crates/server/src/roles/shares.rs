//! Which of a shop's nodes reads what: projections and processes share out the partitions like owners.

use std::collections::BTreeMap;

use eventsourcing::readers::{Presumption, Share};
use eventsourcing::topic::Topic;

use super::Process;
use super::assignments::assignments;
use crate::config::LogKind;
use crate::supervisor::Stage;

/// This process's share in each of these topics, by topic. `readers` names the work.
pub(super) fn shares(
    process: &mut Process,
    readers: &'static str,
    topics: &[Topic],
) -> anyhow::Result<BTreeMap<Topic, Share>> {
    let presumption = match process.parts.config.log {
        LogKind::Postgres => Presumption::Nothing,
        LogKind::Kafka => Presumption::Everything,
    };
    let assigned = assignments(process, Stage::Readers, readers, topics)?;
    let share = |(topic, assignment): (&Topic, _)| {
        (
            topic.clone(),
            Share::follow(topic.clone(), assignment, presumption),
        )
    };
    Ok(topics.iter().zip(assigned).map(share).collect())
}
