//! Views: the row of one aggregate after its events.

mod rows;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use async_trait::async_trait;
use eventsourcing::aggregate::Event as _;
use eventsourcing::projection::{Change, Row, View, Written};
use eventsourcing::readers::Event;
use sqlx::PgConnection;

use super::storable::storable;
use super::{Fold, Reference, Rows, Sample, Told, decoded, write};
use crate::projection::{ProjectionError, table};
use rows::{ROW_BYTES, ViewRows};

pub(in crate::projection) struct ViewFold<V>(PhantomData<fn() -> V>);

impl<V: View> ViewFold<V> {
    pub(in crate::projection) const fn new() -> Self {
        Self(PhantomData)
    }
}

fn fold<V: View>(row: Option<&V::Row>, event: &Event) -> Result<Change<V::Row>, String> {
    let event = decoded::<V::Event>(event)?;
    V::fold(row, &event).map_err(|error| error.to_string())
}

/// A change whose row can be stored; looked at before the next event of the row or, where the view wants that, not at all.
/// With it comes what the row takes in memory, roughly, which took `before`.
fn checked<V: View>(
    row: Option<&V::Row>,
    event: &Event,
    before: usize,
) -> Result<(Change<V::Row>, usize), String> {
    let change = fold::<V>(row, event)?;
    let bytes = match (&change, V::WRITTEN) {
        (Change::Put(row), Written::AfterEachEvent) => ROW_BYTES + storable(row)?,
        // A row that grows with its aggregate.
        (Change::Put(_), Written::AfterTheBatch) => before.max(ROW_BYTES) + event.stored.record.value.len(),
        (Change::Delete | Change::Keep, _) => 0,
    };
    Ok((change, bytes))
}

impl<V: View> Fold for ViewFold<V> {
    fn rows(&self, fresh: bool) -> Box<dyn Rows> {
        Box::new(ViewRows::<V>::new(fresh))
    }

    fn adds(&self) -> bool {
        false
    }

    fn told(&self, event: &Event) -> Option<Told> {
        Told::by::<V::Event>(event)
    }

    fn types(&self) -> &'static [&'static str] {
        V::Event::TYPES
    }

    fn reference(&self) -> Box<dyn Reference> {
        Box::new(ViewReference::<V>(Sample(BTreeMap::new())))
    }
}

struct ViewReference<V: View>(Sample<Option<V::Row>>);

#[async_trait]
impl<V: View> Reference for ViewReference<V> {
    fn apply(&mut self, event: &Event) -> Result<(), String> {
        let Some(row) = self.0.get(&event.key().1) else {
            return Ok(());
        };
        match checked::<V>(row.as_ref(), event, 0)?.0 {
            Change::Keep => {}
            Change::Delete => *row = None,
            Change::Put(after) => *row = Some(after),
        }
        Ok(())
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<Vec<String>, ProjectionError> {
        let rows: Vec<&V::Row> = self.0.0.values().flatten().collect();
        write(connection, table::upsert(schema, &V::Row::TABLE), &rows).await?;
        let absent = self.0.0.iter().filter(|(_, row)| row.is_none());
        Ok(absent.map(|((_, key), _)| key.clone()).collect())
    }
}
