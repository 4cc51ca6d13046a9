//! What a repartitioning would do, without doing it.

use super::{Extent, RepartitionError, end_of};
use crate::codec::{Parsed, parse};
use crate::copy::{Progress, Range};
use crate::ids::Offset;
use crate::log::Log;
use crate::rule::{Rule, Verdict};
use crate::topic::partition_of;

/// Records between two words about the progress.
const TOLD_EVERY: u64 = 1_000;

/// How many events of each old partition would go to each of `partitions` new ones: `[old][new]`. Reads only.
pub async fn survey(
    log: &dyn Log,
    from: &Extent,
    partitions: u32,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u64>>, RepartitionError> {
    let mut found = Vec::new();
    for number in 0..from.partitions {
        let at = from.topic.partition(number);
        let end = end_of(log, &at).await?;
        let mut range = Range::of(log, at, Offset(0), end);
        let mut counts = vec![0; usize::try_from(partitions).expect("partitions fit")];
        let (mut rule, mut records) = (Rule::default(), 0);
        while let Some(stored) = range.next().await? {
            let parsed = parse(&stored)?;
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                let to = partition_of(&envelope.aggregate, partitions);
                counts[usize::try_from(to).expect("partitions fit")] += 1;
            }
            records += 1;
            if records == TOLD_EVERY {
                progress.compared(records, 0);
                records = 0;
            }
        }
        progress.compared(records, 0);
        found.push(counts);
    }
    Ok(found)
}
