//! SQL derived from a [`Table`]: names come from constants in the code, never from input.

use eventsourcing::projection::Table;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// The schema of one version of a projection.
pub(crate) fn schema(projection: &str, version: i32) -> String {
    format!("{projection}_v{version}")
}

/// The columns' names, quoted, separated by commas.
pub(super) fn columns(table: &Table) -> String {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    names.join(", ")
}

fn key(table: &Table) -> String {
    let names: Vec<String> = table.key.iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// Creates schema and table of a version, without any index.
pub(crate) async fn create_table(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<(), sqlx::Error> {
    let definitions: Vec<String> = table
        .columns
        .iter()
        .map(|(name, definition)| format!("{name:?} {definition}"))
        .collect();
    let sql = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE {schema}.{} ({});",
        table.name,
        definitions.join(", ")
    );
    connection.execute(AssertSqlSafe(sql)).await.map(|_| ())
}

/// Makes the primary key, where it is missing: what loads, replaces or deletes a row needs it.
pub(crate) async fn ensure_key(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<(), sqlx::Error> {
    connection
        .execute(AssertSqlSafe(key_index(schema, table)))
        .await?;
    let name = table.name;
    let keyed: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p')",
    )
    .bind(format!("{schema}.{name}"))
    .fetch_one(&mut *connection)
    .await?;
    if keyed {
        return Ok(());
    }
    let sql =
        format!("ALTER TABLE {schema}.{name} ADD CONSTRAINT {name}_pkey PRIMARY KEY USING INDEX {name}_pkey");
    connection.execute(AssertSqlSafe(sql)).await.map(|_| ())
}

/// What builds the primary key's index, where it is missing, beside others.
pub(crate) fn key_index(schema: &str, table: &Table) -> String {
    let (name, key) = (table.name, key(table));
    format!("CREATE UNIQUE INDEX IF NOT EXISTS {name}_pkey ON {schema}.{name} ({key})")
}

/// What builds the secondary indexes that are missing, after the rows are there; a statement each.
pub(crate) fn indexes(schema: &str, table: &Table) -> Vec<String> {
    let name = table.name;
    let create = |(number, index): (usize, &&str)| {
        format!("CREATE INDEX IF NOT EXISTS {name}_index_{number} ON {schema}.{name} {index}")
    };
    table.indexes.iter().enumerate().map(create).collect()
}

/// Points the view that readers use at this version. Waits for readers of the view, and lets others
/// queue behind it: set a `lock_timeout`.
pub(crate) async fn point_view(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<(), sqlx::Error> {
    point_view_at(connection, table.name, schema, table).await
}

/// The same for the view `view`.
pub(crate) async fn point_view_at(
    connection: &mut PgConnection,
    view: &str,
    schema: &str,
    table: &Table,
) -> Result<(), sqlx::Error> {
    let (name, columns) = (table.name, columns(table));
    let (before, after) = (
        shape(&mut *connection, "read", view).await?,
        shape(&mut *connection, schema, name).await?,
    );
    // A view may be replaced by one that only appends columns; grants on it stay.
    let drop = if after.starts_with(&before) {
        String::new()
    } else {
        format!("DROP VIEW read.{view};")
    };
    let sql = format!("{drop} CREATE OR REPLACE VIEW read.{view} AS SELECT {columns} FROM {schema}.{name};");
    connection.execute(AssertSqlSafe(sql)).await.map(|_| ())
}

/// Name and type of the columns of a table or view, in order; none when it is not there.
pub(crate) async fn shape(
    connection: &mut PgConnection,
    schema: &str,
    name: &str,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod)
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    )
    .bind(schema)
    .bind(name)
    .fetch_all(connection)
    .await
}

/// Loads the rows of these keys: `(key, row as JSON)`.
pub(crate) fn load(schema: &str, table: &Table) -> String {
    let (name, key) = (table.name, key(table));
    format!("SELECT t.{key}, to_jsonb(t) FROM {schema}.{name} t WHERE t.{key} = ANY($1)")
}

/// Writes rows given as a JSON array, none of which may be there.
pub(super) fn add_new(schema: &str, table: &Table) -> String {
    insert_json(schema, table, &columns(table), "")
}

/// Writes rows given as a JSON array; an existing row is replaced.
pub(super) fn upsert(schema: &str, table: &Table) -> String {
    let columns_changed = table.columns.iter().filter(|(name, _)| !table.key.contains(name));
    let set: Vec<String> = columns_changed
        .map(|(name, _)| format!("{name:?} = EXCLUDED.{name:?}"))
        .collect();
    insert(schema, table, &columns(table), "", &set)
}

/// Adds counters given as a JSON array to what is there.
pub(super) fn add(schema: &str, table: &Table, added: &[&str]) -> String {
    let set: Vec<String> = added
        .iter()
        .map(|name| format!("{name:?} = t.{name:?} + EXCLUDED.{name:?}"))
        .collect();
    let summed: Vec<String> = table
        .columns
        .iter()
        .map(|(name, _)| {
            if added.contains(name) {
                format!("sum({name:?})")
            } else {
                format!("{name:?}")
            }
        })
        .collect();
    // A sum that outgrew a row comes in several.
    insert(
        schema,
        table,
        &summed.join(", "),
        &format!("GROUP BY {}", key(table)),
        &set,
    )
}

fn insert(schema: &str, table: &Table, selected: &str, grouped: &str, set: &[String]) -> String {
    let (key, set) = (key(table), set.join(", "));
    let insert = insert_json(schema, table, selected, grouped);
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}")
}

fn insert_json(schema: &str, table: &Table, selected: &str, grouped: &str) -> String {
    let (name, columns) = (table.name, columns(table));
    format!(
        "INSERT INTO {schema}.{name} AS t ({columns})
         SELECT {selected} FROM jsonb_populate_recordset(NULL::{schema}.{name}, $1::text::jsonb) {grouped}"
    )
}

/// Deletes the rows of these keys.
pub(super) fn delete(schema: &str, table: &Table) -> String {
    format!(
        "DELETE FROM {schema}.{} WHERE {} = ANY($1)",
        table.name,
        key(table)
    )
}
