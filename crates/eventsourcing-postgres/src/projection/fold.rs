//! The two kinds of fold over a batch: load what is touched, fold in memory, write it in one statement.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::marker::PhantomData;

use async_trait::async_trait;
use eventsourcing::codec;
use eventsourcing::projection::{Change, Counter, Row, Tally, View};
use eventsourcing::record::Stored;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::scan::{Event, Key};
use super::{ProjectionError, table};

/// An event that could not be applied.
pub(crate) struct Parked {
    pub(crate) stored: Stored,
    pub(crate) error: String,
}

/// Applies accepted events to the tables in `schema`.
#[async_trait]
pub(crate) trait Fold: Send + Sync {
    /// Returns what could not be applied. `parked` are the keys that are parked already.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        events: Vec<Event>,
        parked: HashSet<Key>,
    ) -> Result<Vec<Parked>, ProjectionError>;
}

const BEHIND: &str = "an earlier event of this key is parked";

pub(super) struct ViewFold<V>(PhantomData<fn() -> V>);

impl<V: View> ViewFold<V> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }

    async fn load(
        connection: &mut PgConnection,
        schema: &str,
        keys: Vec<String>,
    ) -> Result<HashMap<String, V::Row>, ProjectionError> {
        let sql = table::load(schema, &V::Row::TABLE);
        let rows: Vec<(String, Value)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(keys)
            .fetch_all(connection)
            .await?;
        let decode = |(key, row): (String, Value)| {
            let row = serde_json::from_value(row);
            let row = row.map_err(|source| ProjectionError::Row {
                table: V::Row::TABLE.name,
                source,
            })?;
            Ok((key, row))
        };
        rows.into_iter().map(decode).collect()
    }
}

#[async_trait]
impl<V: View> Fold for ViewFold<V> {
    async fn apply(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        events: Vec<Event>,
        mut parked_keys: HashSet<Key>,
    ) -> Result<Vec<Parked>, ProjectionError> {
        let keys: HashSet<String> = events.iter().map(|event| event.key().1).collect();
        let mut rows = Self::load(&mut *connection, schema, keys.into_iter().collect()).await?;
        let mut touched: HashSet<String> = HashSet::new();
        let mut parked = Vec::new();
        for event in events {
            let place = event.key();
            let Event { stored, headers } = event;
            if parked_keys.contains(&place) {
                parked.push(Parked {
                    stored,
                    error: BEHIND.to_owned(),
                });
                continue;
            }
            let key = place.1.clone();
            let folded = headers
                .and_then(|headers| {
                    codec::decode::<V::Event>(&stored, headers).map_err(|error| error.to_string())
                })
                .and_then(|event| V::fold(rows.get(&key), &event).map_err(|error| error.to_string()));
            match folded {
                Ok(Change::Keep) => {}
                Ok(Change::Put(row)) => {
                    rows.insert(key.clone(), row);
                    touched.insert(key);
                }
                Ok(Change::Delete) => {
                    rows.remove(&key);
                    touched.insert(key);
                }
                Err(error) => {
                    parked_keys.insert(place);
                    parked.push(Parked { stored, error });
                }
            }
        }
        let (puts, deletes): (Vec<String>, Vec<String>) =
            touched.into_iter().partition(|key| rows.contains_key(key));
        let puts: Vec<&V::Row> = puts.iter().filter_map(|key| rows.get(key)).collect();
        write(connection, table::upsert(schema, &V::Row::TABLE), &puts).await?;
        if !deletes.is_empty() {
            let sql = table::delete(schema, &V::Row::TABLE);
            sqlx::query(AssertSqlSafe(sql))
                .bind(deletes)
                .execute(connection)
                .await?;
        }
        Ok(parked)
    }
}

pub(super) struct TallyFold<T>(PhantomData<fn() -> T>);

impl<T: Tally> TallyFold<T> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }

    /// Adds what one event counts to `sums`, all of it or nothing.
    fn add(
        sums: &mut BTreeMap<<T::Counter as Counter>::Key, T::Counter>,
        counted: Vec<T::Counter>,
    ) -> Result<(), String> {
        let mut after: BTreeMap<<T::Counter as Counter>::Key, T::Counter> = BTreeMap::new();
        for counter in counted {
            let key = counter.key();
            match after.remove(&key).or_else(|| sums.get(&key).cloned()) {
                Some(mut sum) => {
                    sum.add(&counter).map_err(|error| error.to_string())?;
                    after.insert(key, sum);
                }
                None => {
                    after.insert(key, counter);
                }
            }
        }
        sums.extend(after);
        Ok(())
    }
}

#[async_trait]
impl<T: Tally> Fold for TallyFold<T> {
    async fn apply(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        events: Vec<Event>,
        mut parked_keys: HashSet<Key>,
    ) -> Result<Vec<Parked>, ProjectionError> {
        let mut sums = BTreeMap::new();
        let mut parked = Vec::new();
        for event in events {
            let place = event.key();
            let Event { stored, headers } = event;
            if parked_keys.contains(&place) {
                parked.push(Parked {
                    stored,
                    error: BEHIND.to_owned(),
                });
                continue;
            }
            let counted = headers
                .and_then(|headers| {
                    codec::decode::<T::Event>(&stored, headers).map_err(|error| error.to_string())
                })
                .and_then(|event| T::count(&event).map_err(|error| error.to_string()))
                .and_then(|counted| Self::add(&mut sums, counted));
            if let Err(error) = counted {
                parked_keys.insert(place);
                parked.push(Parked { stored, error });
            }
        }
        let sums: Vec<&T::Counter> = sums.values().collect();
        let sql = table::add(schema, &T::Counter::TABLE, T::Counter::ADDED);
        write(connection, sql, &sums).await?;
        Ok(parked)
    }
}

async fn write<R: Row>(
    connection: &mut PgConnection,
    sql: String,
    rows: &[&R],
) -> Result<(), ProjectionError> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_value(rows).map_err(|source| ProjectionError::Row {
        table: R::TABLE.name,
        source,
    })?;
    sqlx::query(AssertSqlSafe(sql))
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}
