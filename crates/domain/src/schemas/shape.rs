//! The shape of a schema: which JSON it lets through. Of a released type it never changes, neither way. What the log has must be
//! read by the build to come; what that one writes must be read by the builds that run beside it until they are replaced.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Words for people.
const WORDS: [&str; 5] = ["$schema", "$defs", "title", "description", "examples"];
/// What is looked at below; any other keyword must not differ.
const JUDGED: [&str; 13] = [
    "$ref",
    "oneOf",
    "anyOf",
    "const",
    "enum",
    "type",
    "format",
    "minimum",
    "maximum",
    "properties",
    "required",
    "additionalProperties",
    "items",
];

/// What has changed from the `committed` schema to the `current` one, a line each.
pub(super) fn changes(committed: &Value, current: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    for line in unreadable(committed, current) {
        changes.push(format!("{line}: what is in the log could not be read"));
    }
    for line in unreadable(current, committed) {
        changes.push(format!("{line}: builds that still run could not read it"));
    }
    changes
}

/// What is `written` by one schema and refused by the other.
fn unreadable(written: &Value, read: &Value) -> Vec<String> {
    let mut refused = Vec::new();
    Pair { written, read }.compare("", written, read, &mut refused);
    refused
}

/// The roots, where definitions are found.
#[derive(Clone, Copy)]
struct Pair<'a> {
    written: &'a Value,
    read: &'a Value,
}

impl Pair<'_> {
    fn compare(self, place: &str, written: &Value, read: &Value, refused: &mut Vec<String>) {
        let (written, read) = (resolve(self.written, written), resolve(self.read, read));
        let (many, cases) = (alternatives(written), alternatives(read));
        if let ([written], [read]) = (&many[..], &cases[..]) {
            let (written, read) = (resolve(self.written, written), resolve(self.read, read));
            return self.compare_one(place, written, read, refused);
        }
        for written in many {
            let tried = cases.iter().map(|read| {
                let mut refused = Vec::new();
                self.compare(place, written, read, &mut refused);
                refused
            });
            // The case that is nearest says best what is wrong.
            let nearest = tried.min_by_key(Vec::len).unwrap_or_default();
            if !nearest.is_empty() {
                let case = name(resolve(self.written, written));
                refused.extend(nearest.iter().map(|line| format!("case {case}: {line}")));
            }
        }
    }

    fn compare_one(self, place: &str, written: &Value, read: &Value, refused: &mut Vec<String>) {
        let mut refuse = |what: &str| refused.push(format!("{place}/: {what}"));
        if let Some(allowed) = constants(read)
            && constants(written).is_none_or(|constants| !constants.is_subset(&allowed))
        {
            refuse("fewer values");
        }
        let (from, to) = (types(written), types(read));
        if !to.is_empty() && (from.is_empty() || !from.is_subset(&to)) {
            refuse(&format!("type {from:?} is {to:?}"));
        }
        let (from, to) = (range(written), range(read));
        if to.0 > from.0 || to.1 < from.1 {
            refuse(&format!(
                "numbers {} to {} are {} to {}",
                from.0, from.1, to.0, to.1
            ));
        }
        for keyword in other_keywords(written, read) {
            if written.get(keyword) != read.get(keyword) {
                refuse(&format!("another {keyword:?}"));
            }
        }
        self.compare_fields(place, written, read, refused);
        if let Some(items) = read.get("items") {
            let anything = Value::Bool(true);
            let place = format!("{place}/[]");
            self.compare(&place, written.get("items").unwrap_or(&anything), items, refused);
        }
    }

    fn compare_fields(self, place: &str, written: &Value, read: &Value, refused: &mut Vec<String>) {
        let (none, nothing) = (Map::new(), BTreeSet::new());
        let fields = |schema: &Value| schema.get("properties").and_then(Value::as_object).cloned();
        let (from, to) = (
            fields(written).unwrap_or(none.clone()),
            fields(read).unwrap_or(none),
        );
        let required = |schema: &Value| schema.get("required").map(texts).unwrap_or(nothing.clone());
        for field in required(read).difference(&required(written)) {
            refused.push(format!("{place}/{field}: is required"));
        }
        let closed = |schema: &Value| schema.get("additionalProperties") == Some(&Value::Bool(false));
        if closed(read) && !closed(written) {
            refused.push(format!("{place}/: further fields are refused"));
        }
        for (field, written) in &from {
            let place = format!("{place}/{field}");
            match to.get(field) {
                Some(read) => self.compare(&place, written, read, refused),
                None if closed(read) => refused.push(format!("{place}: the field is refused")),
                None => {}
            }
        }
    }
}

/// The definition that a reference names.
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let pointer = reference.trim_start_matches('#');
            resolve(root, root.pointer(pointer).expect("a schema names what it has"))
        }
        None => schema,
    }
}

/// The cases of a choice; itself when it is none.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    let choice = ["oneOf", "anyOf"]
        .iter()
        .find_map(|keyword| schema.get(keyword)?.as_array());
    choice.map_or_else(|| vec![schema], |cases| cases.iter().collect())
}

/// The values of a schema that lists them.
pub(super) fn constants(schema: &Value) -> Option<BTreeSet<String>> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let listed = listed.map(|values| values.iter().map(ToString::to_string).collect());
    listed.or_else(|| {
        schema
            .get("const")
            .map(|value| BTreeSet::from([value.to_string()]))
    })
}

pub(super) fn types(schema: &Value) -> BTreeSet<String> {
    schema.get("type").map(texts).unwrap_or_default()
}

/// What people call a case: its tag, or what kind of thing it is.
pub(super) fn name(schema: &Value) -> String {
    let fields = schema.get("properties").and_then(Value::as_object);
    let tag = fields.and_then(|fields| fields.values().find_map(|field| field.get("const")));
    let value = schema.get("const").or(tag).or_else(|| schema.get("type"));
    value
        .or_else(|| schema.get("$ref"))
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// One text, or each of several.
fn texts(value: &Value) -> BTreeSet<String> {
    let several = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    several
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The numbers that are let through: by the format's width and by the limits.
fn range(schema: &Value) -> (i128, i128) {
    let (least, most): (i128, i128) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("int64") => (i64::MIN.into(), i64::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64") => (0, u64::MAX.into()),
        _ => (i128::MIN, i128::MAX),
    };
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_i64).map(i128::from);
    (
        least.max(limit("minimum").unwrap_or(least)),
        most.min(limit("maximum").unwrap_or(most)),
    )
}

fn other_keywords<'a>(written: &'a Value, read: &'a Value) -> BTreeSet<&'a str> {
    let objects = [written, read].into_iter().filter_map(Value::as_object);
    let keywords = objects.flat_map(Map::keys).map(String::as_str);
    keywords
        .filter(|keyword| !WORDS.contains(keyword) && !JUDGED.contains(keyword))
        .collect()
}
