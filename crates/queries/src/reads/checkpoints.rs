//! How far each projection has come.

use std::collections::BTreeMap;

use eventsourcing::ids::Offset;
use eventsourcing::position::{Position, Positions};
use eventsourcing::topic::{Topic, of_generation};

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

/// `daybook.orders.events/3@1042`, as statements and notifications write a checkpoint.
pub(super) fn of_text(text: &str) -> Option<Position> {
    let (topic, place) = text.rsplit_once('/')?;
    let (partition, offset) = place.split_once('@')?;
    position(topic, partition.parse().ok()?, offset.parse().ok()?)
}

/// Whether a position is one of the model's service, of whatever generation.
pub(super) fn concerns(position: &Position, model: ReadModel) -> bool {
    of_generation(&position.service).0 == model.service()
}

/// Whether `shown` is as new as `asked` in every partition of the model's service. The checkpoints of an older
/// generation stay where that was sealed, so what was asked of it is shown.
pub(super) fn covers(shown: &Positions, model: ReadModel, asked: &Positions) -> bool {
    let mut concerning = asked.iter().filter(|position| concerns(position, model));
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
        assert!(!covered("orders-g2/0@1"), "a generation nobody knows here");
        let after = positions("orders/0@10,orders/1@5,orders-g2/0@1,orders-g2/1@1,orders-g2/2@1");
        let covered = |asked| covers(&after, ReadModel::Orders, &positions(asked));
        assert!(covered("orders/0@10,orders-g2/2@1"));
        assert!(!covered("orders-g2/2@2"));
        let covered = |asked| covers(&shown, ReadModel::Orders, &positions(asked));
        assert!(!covered("orders/0@11"));
        assert!(!covered("orders/0@1,orders/1@6"));
        assert!(
            !covered("orders/2@0"),
            "a partition without checkpoint shows nothing"
        );
    }
}
