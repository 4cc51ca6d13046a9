//! I6: rows are the fold of the log up to the checkpoints stored beside them.

use std::collections::{BTreeMap, BTreeSet};

use eventsourcing::aggregate::{Event, Recorded};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::{AggregateId, Offset};
use eventsourcing::projection::{Change, Counter, Row, Tally, View};
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::TopicPartition;

use crate::breach::Breach;
use crate::ledger::by_partition;

/// How far a projection has come in each partition: the next offset it will look at. A partition that is
/// not in it has not been begun.
pub type Checkpoints = BTreeMap<TopicPartition, Offset>;

/// The rows of `V` at `checkpoints`, folded from `log` by nobody but the fold itself. An aggregate whose
/// event cannot be folded keeps its row from there on, as the policy `park` has it.
pub fn fold_view<V: View>(log: &[Stored], checkpoints: &Checkpoints) -> BTreeMap<AggregateId, V::Row> {
    let mut rows: BTreeMap<AggregateId, V::Row> = BTreeMap::new();
    each_event::<V::Event>(log, checkpoints, |event| {
        match V::fold(rows.get(&event.aggregate), event) {
            Ok(Change::Put(row)) => {
                rows.insert(event.aggregate.clone(), row);
            }
            Ok(Change::Delete) => {
                rows.remove(&event.aggregate);
            }
            Ok(Change::Keep) => {}
            Err(_) => return Folded::Parked,
        }
        Folded::Done
    });
    rows
}

/// The counters of `T` at `checkpoints`. Those that came to zero are in it like any other.
pub fn fold_tally<T: Tally>(
    log: &[Stored],
    checkpoints: &Checkpoints,
) -> BTreeMap<<T::Counter as Counter>::Key, T::Counter> {
    let mut counters: BTreeMap<_, T::Counter> = BTreeMap::new();
    each_event::<T::Event>(log, checkpoints, |event| {
        let Ok(added) = T::count(event) else {
            return Folded::Parked;
        };
        for counter in added {
            match counters.entry(counter.key()) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(counter);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    if place.get_mut().add(&counter).is_err() {
                        return Folded::Parked;
                    }
                }
            }
        }
        Folded::Done
    });
    counters
}

/// I6 of a view.
#[must_use]
pub fn check_view<V: View>(
    log: &[Stored],
    checkpoints: &Checkpoints,
    rows: &BTreeMap<AggregateId, V::Row>,
) -> Vec<Breach> {
    let folded = fold_view::<V>(log, checkpoints);
    differences(V::NAME, rows, &folded, |id, _| id.to_string())
}

/// I6 of a tally.
#[must_use]
pub fn check_tally<T: Tally>(
    log: &[Stored],
    checkpoints: &Checkpoints,
    rows: impl IntoIterator<Item = T::Counter>,
) -> Vec<Breach> {
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key(), row)).collect();
    let folded = fold_tally::<T>(log, checkpoints);
    differences(T::NAME, &rows, &folded, |_, row| text(Some(row)))
}

fn differences<K: Ord, R: Row>(
    projection: &'static str,
    rows: &BTreeMap<K, R>,
    folded: &BTreeMap<K, R>,
    name: impl Fn(&K, &R) -> String,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let keys: BTreeMap<&K, &R> = rows.iter().chain(folded).collect();
    for (key, row) in keys {
        let (found, due) = (text(rows.get(key)), text(folded.get(key)));
        if found != due {
            breaches.push(Breach::RowDiffers {
                projection,
                key: name(key, row),
                found,
                folded: due,
            });
        }
    }
    breaches
}

fn text<R: Row>(row: Option<&R>) -> String {
    serde_json::to_string(&row).expect("a row is plain JSON")
}

/// What became of an event.
enum Folded {
    Done,
    /// Nothing more of this aggregate.
    Parked,
}

/// Each event that counts below the checkpoints, in the order of each partition.
fn each_event<E: Event>(
    log: &[Stored],
    checkpoints: &Checkpoints,
    mut fold: impl FnMut(&Recorded<E>) -> Folded,
) {
    let mut parked = BTreeSet::new();
    for (at, records) in by_partition(log) {
        let end = checkpoints.get(at).copied().unwrap_or_default();
        let mut rule = Rule::default();
        for stored in records.into_iter().filter(|stored| stored.offset < end) {
            let Ok(parsed) = codec::parse(stored) else {
                continue;
            };
            let verdict = rule.judge(parsed.claim());
            let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) else {
                continue;
            };
            let aggregate = envelope.aggregate.clone();
            if parked.contains(&aggregate) {
                continue;
            }
            let folded = codec::decode::<E>(stored, envelope).map(|event| fold(&event));
            if !matches!(folded, Ok(Folded::Done)) {
                parked.insert(aggregate);
            }
        }
    }
}
