//! Tallies: counters that many aggregates add to.

use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;

use async_trait::async_trait;
use eventsourcing::aggregate::Event as _;
use eventsourcing::projection::{Counter, Row, Tally};
use eventsourcing::readers::{Event, Key};
use serde_json::Value;
use sqlx::PgConnection;

use super::{Fold, Parked, Reference, Rows, Sample, Told, Writing, decoded, each, write};
use crate::projection::{ProjectionError, table};

pub(in crate::projection) struct TallyFold<T>(PhantomData<fn() -> T>);

impl<T: Tally> TallyFold<T> {
    pub(in crate::projection) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A sum in as many rows as it takes for each to fit. That a sum outgrows one row must not fail an
/// event: which event it hits would depend on where the batch began.
fn add<C: Counter>(sum: &mut Vec<C>, more: C) {
    if let Some(last) = sum.last_mut() {
        let mut added = last.clone();
        if added.add(&more).is_ok() {
            *last = added;
            return;
        }
    }
    sum.push(more);
}

fn count<T: Tally>(event: &Event) -> Result<Vec<T::Counter>, String> {
    T::count(&decoded::<T::Event>(event)?).map_err(|error| error.to_string())
}

impl<T: Tally> Fold for TallyFold<T> {
    fn rows(&self, _fresh: bool) -> Box<dyn Rows> {
        Box::new(Sums::<T>(BTreeMap::new()))
    }

    fn adds(&self) -> bool {
        true
    }

    fn told(&self, event: &Event) -> Option<Told> {
        Told::by::<T::Event>(event)
    }

    fn types(&self) -> &'static [&'static str] {
        T::Event::TYPES
    }

    fn reference(&self) -> Box<dyn Reference> {
        Box::new(TallyReference::<T>(Sample(BTreeMap::new())))
    }
}

/// What is to be added to the table. Nothing of it need be loaded.
struct Sums<T: Tally>(BTreeMap<<T::Counter as Counter>::Key, Vec<T::Counter>>);

/// Roughly, with its key and its place in the map.
const SUM_BYTES: usize = 512;

#[async_trait]
impl<T: Tally> Rows for Sums<T> {
    async fn load(&mut self, _: &mut PgConnection, _: &str, _: &[Event]) -> Result<(), ProjectionError> {
        Ok(())
    }

    fn fold(&mut self, events: &[Event], parked: &mut HashSet<Key>) -> Vec<Parked> {
        each(events, parked, |event, _| {
            for counter in count::<T>(event)? {
                add(self.0.entry(counter.key()).or_default(), counter);
            }
            Ok(())
        })
    }

    fn bytes(&self) -> usize {
        self.0.len() * SUM_BYTES
    }

    fn take(&mut self) -> Box<dyn Rows> {
        Box::new(Self(std::mem::take(&mut self.0)))
    }

    fn forget(&mut self, _: u64) {
        // What is to be added is no more than what was not taken.
    }

    async fn write(
        self: Box<Self>,
        connection: &mut PgConnection,
        schema: &str,
        _: Writing,
    ) -> Result<(), ProjectionError> {
        let sql = table::add(schema, &T::Counter::TABLE, T::Counter::ADDED);
        write(connection, sql, &self.0.values().flatten().collect::<Vec<_>>()).await
    }
}

struct TallyReference<T: Tally>(Sample<Vec<T::Counter>>);

#[async_trait]
impl<T: Tally> Reference for TallyReference<T> {
    fn apply(&mut self, event: &Event) -> Result<(), String> {
        for counter in count::<T>(event)? {
            let row = serde_json::to_value(&counter).map_err(|error| error.to_string())?;
            let key: Vec<&Value> = T::Counter::TABLE.key.iter().map(|column| &row[*column]).collect();
            let key = serde_json::to_string(&key).map_err(|error| error.to_string())?;
            if let Some(sum) = self.0.get(&key) {
                add(sum, counter);
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<Vec<String>, ProjectionError> {
        let sql = table::add(schema, &T::Counter::TABLE, T::Counter::ADDED);
        write(connection, sql, &self.0.0.values().flatten().collect::<Vec<_>>()).await?;
        Ok(Vec::new())
    }
}
