//! Where a partition ended when a command was refused. Over HTTP nobody knows exactly, but what was
//! acknowledged before the question lay below that end, and what was sent after the answer lies above it. So a
//! refusal can be held against the states in between, and a false one found.

use std::collections::BTreeMap;
use std::time::Duration;

use checker::{History, Outcome};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::ids::Offset;
use eventsourcing::topic::TopicPartition;

/// Of one partition, each in the order of time.
#[derive(Default)]
struct Known {
    /// When something was acknowledged, and the least end of the log by then.
    at_least: Vec<(Duration, Offset)>,
    /// When something new was sent, and the greatest end of the log until then.
    at_most: Vec<(Duration, Offset)>,
}

/// Sets the ends of all refused attempts, as narrow as the history allows; and of repeats the end at their
/// question: what lay below it already they have not made themselves.
pub(super) fn bound<A: Aggregate>(history: &mut History<A>) {
    let mut partitions: BTreeMap<TopicPartition, Known> = BTreeMap::new();
    for attempt in &history.attempts {
        if let Outcome::Accepted(accepted) = &attempt.outcome {
            let offset = accepted.position.offset;
            let known = partitions.entry(attempt.question.at.clone()).or_default();
            known.at_least.push((attempt.answered.elapsed, offset.next()));
            if !accepted.replayed {
                known.at_most.push((attempt.sent.elapsed, offset));
            }
        }
    }
    partitions.values_mut().for_each(Known::sort);
    for attempt in &mut history.attempts {
        let Some(known) = partitions.get(&attempt.question.at) else {
            continue;
        };
        let sent = Some(known.end_at_least(attempt.sent.elapsed));
        match &attempt.outcome {
            Outcome::Refused => {
                attempt.sent.end = sent;
                attempt.answered.end = known.end_at_most(attempt.answered.elapsed);
            }
            Outcome::Accepted(accepted) if accepted.replayed => attempt.sent.end = sent,
            Outcome::Accepted(_)
            | Outcome::Conflict(_)
            | Outcome::KeyReused
            | Outcome::NotAttempted(_)
            | Outcome::Unknown => {}
        }
    }
}

impl Known {
    fn sort(&mut self) {
        self.at_least.sort_unstable();
        let mut greatest = Offset(0);
        for (_, end) in &mut self.at_least {
            greatest = greatest.max(*end);
            *end = greatest;
        }
        self.at_most.sort_unstable();
        let mut least = Offset(u64::MAX);
        for (_, end) in self.at_most.iter_mut().rev() {
            least = least.min(*end);
            *end = least;
        }
    }

    /// Acknowledged before `when`.
    fn end_at_least(&self, when: Duration) -> Offset {
        let before = self.at_least.partition_point(|(answered, _)| *answered < when);
        before
            .checked_sub(1)
            .map_or(Offset(0), |last| self.at_least[last].1)
    }

    /// Sent after `when`; `None` when nothing was.
    fn end_at_most(&self, when: Duration) -> Option<Offset> {
        let after = self.at_most.partition_point(|(sent, _)| *sent <= when);
        self.at_most.get(after).map(|(_, end)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_and_after_encloses_the_end() {
        let at = Duration::from_millis;
        let mut known = Known {
            at_least: vec![(at(30), Offset(4)), (at(10), Offset(6))],
            at_most: vec![(at(50), Offset(9)), (at(40), Offset(12)), (at(5), Offset(5))],
        };
        known.sort();
        assert_eq!(known.end_at_least(at(5)), Offset(0));
        assert_eq!(known.end_at_least(at(20)), Offset(6));
        assert_eq!(known.end_at_least(at(31)), Offset(6), "an end never falls");
        assert_eq!(known.end_at_most(at(1)), Some(Offset(5)));
        assert_eq!(known.end_at_most(at(35)), Some(Offset(9)));
        assert_eq!(known.end_at_most(at(50)), None);
    }
}
