//! The rows of a view in memory: few for a moment, or as many as a rebuild may hold.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use eventsourcing::projection::{Change, Row, View};
use eventsourcing::readers::{Event, Key};
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::checked;
use crate::projection::copy_in::copy_in;
use crate::projection::fold::{Parked, Rows, Writing, each, write};
use crate::projection::{ProjectionError, table};

/// What a row takes beside its text: key, place in the map, allocations.
pub(super) const ROW_BYTES: usize = 256;
/// Fewer new rows go as JSON: the end of a `COPY` is a small packet behind another, which Nagle's algorithm holds back until the
/// server acknowledges that, 40 ms later (sqlx does not turn it off). In that time some 2,500 rows are written as JSON.
const COPY_ROWS_MIN: usize = 1_000;
/// Rows in one statement.
const STATEMENT_ROWS_MAX: usize = 5_000;

/// A row that has been loaded or folded.
struct Slot<R> {
    row: Option<R>,
    /// Whether the table has one.
    stored: bool,
    touched: bool,
    /// What it takes, roughly.
    bytes: usize,
    /// Takes before it was loaded or folded the last time.
    takes: u64,
}

/// The rows of a view in memory. Boxed: a map that grows moves all that is in it.
pub(super) struct ViewRows<V: View> {
    slots: HashMap<String, Box<Slot<V::Row>>>,
    fresh: bool,
    bytes: usize,
    takes: u64,
}

impl<V: View> ViewRows<V> {
    /// None; `fresh` when the table has none either.
    pub(super) fn new(fresh: bool) -> Self {
        Self {
            slots: HashMap::new(),
            fresh,
            bytes: 0,
            takes: 0,
        }
    }
}

async fn load<V: View>(
    connection: &mut PgConnection,
    schema: &str,
    keys: &[String],
) -> Result<HashMap<String, V::Row>, ProjectionError> {
    let sql = table::load(schema, &V::Row::TABLE);
    let rows: Vec<(String, Json<Box<RawValue>>)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(keys)
        .fetch_all(connection)
        .await?;
    let decode = |(key, Json(row)): (String, Json<Box<RawValue>>)| {
        let row = serde_json::from_str(row.get());
        Ok((key, row.map_err(row_error::<V::Row>)?))
    };
    rows.into_iter().map(decode).collect()
}

fn row_error<R: Row>(source: serde_json::Error) -> ProjectionError {
    let table = R::TABLE.name;
    ProjectionError::Row { table, source }
}

#[async_trait]
impl<V: View> Rows for ViewRows<V> {
    async fn load(
        &mut self,
        connection: &mut PgConnection,
        schema: &str,
        events: &[Event],
    ) -> Result<(), ProjectionError> {
        if self.fresh {
            return Ok(());
        }
        let keys: HashSet<String> = events.iter().map(|event| event.key().1).collect();
        let keys: Vec<String> = keys
            .into_iter()
            .filter(|key| !self.slots.contains_key(key))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut rows = load::<V>(connection, schema, &keys).await?;
        for key in keys {
            let row = rows.remove(&key);
            let stored = row.is_some();
            self.bytes += ROW_BYTES;
            self.slots.insert(
                key,
                Box::new(Slot {
                    row,
                    stored,
                    touched: false,
                    bytes: ROW_BYTES,
                    takes: self.takes,
                }),
            );
        }
        Ok(())
    }

    fn fold(&mut self, events: &[Event], parked: &mut HashSet<Key>) -> Vec<Parked> {
        each(events, parked, |event, key| {
            let slot = self.slots.get_mut(&key);
            let known = slot.as_deref();
            let stored = known.is_some_and(|slot| slot.stored);
            let before = known.map_or(0, |slot| slot.bytes);
            let row = known.and_then(|slot| slot.row.as_ref());
            let (row, bytes) = match checked::<V>(row, event, before)? {
                (Change::Keep, _) => return Ok(()),
                (Change::Delete, _) => (None, 0),
                (Change::Put(row), bytes) => (Some(row), bytes),
            };
            let folded = Slot {
                row,
                stored,
                touched: true,
                bytes,
                takes: self.takes,
            };
            match slot {
                Some(slot) => **slot = folded,
                None => drop(self.slots.insert(key, Box::new(folded))),
            }
            self.bytes = self.bytes + bytes - before;
            Ok(())
        })
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self) -> Box<dyn Rows> {
        let changed = self.slots.iter_mut().filter(|(_, slot)| slot.touched);
        let slots = changed.map(|(key, slot)| {
            let taken = Slot {
                row: slot.row.clone(),
                ..**slot
            };
            slot.touched = false;
            slot.stored = slot.row.is_some();
            (key.clone(), Box::new(taken))
        });
        let slots = slots.collect();
        self.takes += 1;
        Box::new(Self {
            slots,
            ..Self::new(false)
        })
    }

    fn forget(&mut self, taken: u64) {
        self.slots.retain(|_, slot| slot.takes >= taken);
        self.bytes = self.slots.values().map(|slot| slot.bytes).sum();
    }

    async fn write(
        self: Box<Self>,
        connection: &mut PgConnection,
        schema: &str,
        writing: Writing,
    ) -> Result<(), ProjectionError> {
        let (mut new, mut changed, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, slot) in self.slots.iter().filter(|(_, slot)| slot.touched) {
            match &slot.row {
                Some(row) if writing == Writing::Copy && !slot.stored => new.push(row),
                Some(row) => changed.push(row),
                None if slot.stored => deleted.push(key.as_str()),
                None => {}
            }
        }
        if new.len() >= COPY_ROWS_MIN {
            copy_in(&mut *connection, schema, &V::Row::TABLE, &new).await?;
        } else if self.fresh {
            // Its table may lack the key that the other statement needs.
            write(&mut *connection, table::add_new(schema, &V::Row::TABLE), &new).await?;
        } else {
            changed.append(&mut new);
        }
        for rows in changed.chunks(STATEMENT_ROWS_MAX) {
            write(&mut *connection, table::upsert(schema, &V::Row::TABLE), rows).await?;
        }
        if !deleted.is_empty() {
            let sql = table::delete(schema, &V::Row::TABLE);
            sqlx::query(AssertSqlSafe(sql))
                .bind(deleted)
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}
