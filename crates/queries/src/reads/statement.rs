//! The one statement of a read.

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{Encode, QueryBuilder, Type};

use super::source::Source;

/// Reads rows of one read model beside its checkpoints: one statement, so of one moment. It yields a
/// row even when nothing is found, with `found` NULL: an empty answer has a position too.
pub(crate) struct Statement {
    query: QueryBuilder<Postgres>,
    joined: &'static str,
    order: &'static str,
}

impl Statement {
    /// Selects `columns` of all rows of `source`.
    pub(crate) fn of(source: Source, columns: &'static str) -> Self {
        let mut query = QueryBuilder::new(
            "SELECT checkpoints, only_types, data.* FROM \
             (SELECT ARRAY_AGG(topic || '/' || partition || '@' || \"offset\") AS checkpoints, ",
        );
        match source.as_of {
            None => query.push("NULL::TEXT[]"),
            Some(_) => query
                .push("(SELECT only_types FROM read.snapshots WHERE name = ")
                .push_bind(source.projection())
                .push(")"),
        };
        query.push(" AS only_types FROM read.checkpoints WHERE projection = ");
        query.push_bind(source.projection());
        query.push(") AS at LEFT JOIN (SELECT TRUE AS found, ");
        query.push(columns).push(" FROM ").push(source.view());
        // Columns may name the row as a whole, whichever view it comes from.
        query.push(" AS ").push(source.model.projection());
        Self {
            query,
            joined: " WHERE ",
            order: "",
        }
    }

    /// Keeps the rows where `condition` (as in `customer =`) holds for the value; all without one.
    pub(crate) fn filter<T>(mut self, condition: &'static str, value: Option<T>) -> Self
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Some(value) = value {
            self.query
                .push(self.joined)
                .push(condition)
                .push(" ")
                .push_bind(value);
            self.joined = " AND ";
        }
        self
    }

    /// Keeps the rows beyond the key, as in `(placed_at, id) <`; all without one.
    pub(crate) fn beyond<A, B>(mut self, condition: &'static str, key: Option<(A, B)>) -> Self
    where
        A: for<'q> Encode<'q, Postgres> + Type<Postgres>,
        B: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Some((first, second)) = key {
            self.query.push(self.joined).push(condition).push(" (");
            self.query.push_bind(first).push(", ").push_bind(second).push(")");
            self.joined = " AND ";
        }
        self
    }

    /// Orders the rows and keeps one more than a page has, which tells whether there are more.
    pub(crate) fn page(mut self, order: &'static str, limit: u32) -> Self {
        self.query
            .push(" ORDER BY ")
            .push(order)
            .push(" LIMIT ")
            .push_bind(i64::from(limit) + 1);
        self.order = order;
        self
    }

    /// The statement, complete.
    pub(super) fn finish(&mut self) -> Query<'_, Postgres, PgArguments> {
        self.query.push(") AS data ON TRUE");
        if !self.order.is_empty() {
            // A join promises no order.
            self.query.push(" ORDER BY ").push(self.order);
        }
        self.query.build()
    }
}
