//! A row's JSON, taken apart into its columns without a look into them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Name and JSON of each field, as they are written.
pub(super) struct Columns<'a>(pub(super) Vec<(&'a str, &'a RawValue)>);

impl<'de> Deserialize<'de> for Columns<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Columns<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Columns<'de>, A::Error> {
        let mut columns = Vec::with_capacity(fields.size_hint().unwrap_or(16));
        while let Some(field) = fields.next_entry()? {
            columns.push(field);
        }
        Ok(Columns(columns))
    }
}
