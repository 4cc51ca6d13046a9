//! How far each projection has come.

use std::collections::BTreeMap;

use eventsourcing::ids::Offset;
use eventsourcing::position::{Position, Positions};
use eventsourcing::topic::Topic;

use super::model::ReadModel;

/// The checkpoints of all active projections, as one look found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints(BTreeMap<String, Positions>);

impl Checkpoints {
    pub(super) fn add(&mut self, projection: String, position: Position) {
        self.0.entry(projection).or_default().merge(position);
    }

    /// Whether `model` shows everything of `asked` that concerns it.
    pub fn cover(&self, model: ReadModel, asked: &Positions) -> bool {
        match self.0.get(model.projection()) {
            Some(shown) => covers(shown, model, asked),
            None => covers(&Positions::default(), model, asked),
        }
    }
}

/// The position of a checkpoint row.
pub(super) fn position(topic: &str, partition: i32, offset: i64) -> Option<Position> {
    Some(Position {
        service: Topic::named(topic).service().to_owned(),
        partition: u32::try_from(partition).ok()?,
        offset: Offset(u64::try_from(offset).ok()?),
    })
}

/// Whether `shown` is as new as `asked` in every partition of the model's service.
pub(super) fn covers(shown: &Positions, model: ReadModel, asked: &Positions) -> bool {
    let mut concerning = asked
        .iter()
        .filter(|position| position.service == model.service());
    concerning.all(|asked| {
        shown.iter().any(|shown| {
            (&shown.service, shown.partition) == (&asked.service, asked.partition)
                && shown.offset >= asked.offset
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(text: &str) -> Positions {
        text.parse().expect("well formed")
    }

    #[test]
    fn only_partitions_of_the_own_service_are_asked_for() {
        let shown = positions("orders/0@10,orders/1@5");
        let covered = |asked| covers(&shown, ReadModel::Orders, &positions(asked));
        assert!(covered("orders/0@10"));
        assert!(covered("orders/0@9,orders/1@5,catalog/0@99"));
        assert!(!covered("orders/0@11"));
        assert!(!covered("orders/0@1,orders/1@6"));
        assert!(
            !covered("orders/2@0"),
            "a partition without checkpoint shows nothing"
        );
    }
}
