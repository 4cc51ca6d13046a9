//! Views: the row of one aggregate after its events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::marker::PhantomData;

use async_trait::async_trait;
use eventsourcing::projection::{Change, Row, View, Written};
use eventsourcing::readers::{Event, Key};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{BEHIND, Fold, Parked, Reference, Sample, decoded, write};
use crate::projection::{ProjectionError, table};

pub(in crate::projection) struct ViewFold<V>(PhantomData<fn() -> V>);

impl<V: View> ViewFold<V> {
    pub(in crate::projection) const fn new() -> Self {
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
            Ok((key, row.map_err(row_error::<V::Row>)?))
        };
        rows.into_iter().map(decode).collect()
    }
}

fn row_error<R: Row>(source: serde_json::Error) -> ProjectionError {
    let table = R::TABLE.name;
    ProjectionError::Row { table, source }
}

/// The row after the event, with what the table gets where that is known already; `None` when nothing changes.
type After<R> = Option<Option<(R, Option<Value>)>>;

fn fold<V: View>(row: Option<&V::Row>, event: &Event) -> Result<After<V::Row>, String> {
    let event = decoded::<V::Event>(event)?;
    match V::fold(row, &event).map_err(|error| error.to_string())? {
        Change::Keep => Ok(None),
        Change::Delete => Ok(Some(None)),
        Change::Put(row) => {
            let written = match V::WRITTEN {
                Written::AfterEachEvent => Some(storable(&row)?),
                Written::AfterTheBatch => None,
            };
            Ok(Some(Some((row, written))))
        }
    }
}

/// What the table gets. Judged at each event, not at the last one of a batch: where a batch ends is chance.
fn storable<R: Row>(row: &R) -> Result<Value, String> {
    let written = serde_json::to_value(row).map_err(|error| error.to_string())?;
    if has_nul(&written) {
        return Err("the row holds a NUL character, which PostgreSQL cannot store".to_owned());
    }
    Ok(written)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[async_trait]
impl<V: View> Fold for ViewFold<V> {
    async fn apply(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        events: &[Event],
        mut parked_keys: HashSet<Key>,
    ) -> Result<Vec<Parked>, ProjectionError> {
        let keys: HashSet<String> = events.iter().map(|event| event.key().1).collect();
        let mut rows = Self::load(&mut *connection, schema, keys.into_iter().collect()).await?;
        let mut touched: HashMap<String, Option<Value>> = HashMap::new();
        let mut parked = Vec::new();
        for event in events {
            let place = event.key();
            let park = |error| Parked {
                stored: event.stored.clone(),
                error,
            };
            if parked_keys.contains(&place) {
                parked.push(park(BEHIND.to_owned()));
                continue;
            }
            match fold::<V>(rows.get(&place.1), event) {
                Ok(None) => {}
                Ok(Some(Some((row, written)))) => {
                    rows.insert(place.1.clone(), row);
                    touched.insert(place.1, written);
                }
                Ok(Some(None)) => {
                    rows.remove(&place.1);
                    touched.insert(place.1, None);
                }
                Err(error) => {
                    parked_keys.insert(place);
                    parked.push(park(error));
                }
            }
        }
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for (key, written) in touched {
            match (written, rows.get(&key)) {
                (Some(written), _) => puts.push(written),
                (None, Some(row)) => puts.push(serde_json::to_value(row).map_err(row_error::<V::Row>)?),
                (None, None) => deletes.push(key),
            }
        }
        write(&mut *connection, table::upsert(schema, &V::Row::TABLE), puts).await?;
        if !deletes.is_empty() {
            let sql = table::delete(schema, &V::Row::TABLE);
            sqlx::query(AssertSqlSafe(sql))
                .bind(deletes)
                .execute(connection)
                .await?;
        }
        Ok(parked)
    }

    fn reference(&self) -> Box<dyn Reference> {
        Box::new(ViewReference::<V>(Sample(BTreeMap::new())))
    }
}

struct ViewReference<V: View>(Sample<Option<V::Row>>);

#[async_trait]
impl<V: View> Reference for ViewReference<V> {
    fn apply(&mut self, event: &Event) -> Result<(), String> {
        if let Some(row) = self.0.get(&event.key().1)
            && let Some(after) = fold::<V>(row.as_ref(), event)?
        {
            *row = after.map(|(row, _)| row);
        }
        Ok(())
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<Vec<String>, ProjectionError> {
        let rows = self.0.0.values().flatten().map(serde_json::to_value);
        let rows = rows.collect::<Result<_, _>>().map_err(row_error::<V::Row>)?;
        write(connection, table::upsert(schema, &V::Row::TABLE), rows).await?;
        let absent = self.0.0.iter().filter(|(_, row)| row.is_none());
        Ok(absent.map(|((_, key), _)| key.clone()).collect())
    }
}
