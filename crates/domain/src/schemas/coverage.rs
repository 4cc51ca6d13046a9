//! Whether samples show all of a schema: each field, what is optional also absent, each case of a choice. Then whatever of it is
//! taken away later makes a sample unreadable.

use serde_json::Value;

use super::shape::{alternatives, constants, name, resolve, types};

/// What no sample shows.
pub(super) fn unseen(schema: &Value, samples: &[&Value]) -> Vec<String> {
    let mut unseen = Vec::new();
    walk(schema, "", schema, samples, &mut unseen);
    unseen
}

fn walk(root: &Value, place: &str, schema: &Value, values: &[&Value], unseen: &mut Vec<String>) {
    let schema = resolve(root, schema);
    let cases = alternatives(schema);
    if cases.len() > 1 || !std::ptr::eq(cases[0], schema) {
        for case in cases.into_iter().map(|case| resolve(root, case)) {
            // An option that is absent, which is another matter, is never written as null.
            if types(case).contains("null") {
                continue;
            }
            let of_case: Vec<&Value> = values
                .iter()
                .copied()
                .filter(|value| fits(root, case, value))
                .collect();
            if of_case.is_empty() {
                unseen.push(format!("{place}/: the case {}", name(case)));
            } else {
                walk(root, place, case, &of_case, unseen);
            }
        }
        return;
    }
    for constant in constants(schema).into_iter().flatten() {
        if !values.iter().any(|value| value.to_string() == constant) {
            unseen.push(format!("{place}/: the value {constant}"));
        }
    }
    walk_fields(root, place, schema, values, unseen);
    if let Some(items) = schema.get("items") {
        let elements: Vec<&Value> = values
            .iter()
            .filter_map(|value| value.as_array())
            .flatten()
            .collect();
        if elements.is_empty() {
            unseen.push(format!("{place}/: an element"));
        } else {
            walk(root, &format!("{place}/[]"), items, &elements, unseen);
        }
    }
}

fn walk_fields(root: &Value, place: &str, schema: &Value, values: &[&Value], unseen: &mut Vec<String>) {
    let required = schema.get("required").and_then(Value::as_array);
    let required = |field: &str| required.is_some_and(|names| names.iter().any(|name| name == field));
    let fields = schema.get("properties").and_then(Value::as_object);
    for (field, schema) in fields.into_iter().flatten() {
        let place = format!("{place}/{field}");
        let present: Vec<&Value> = values.iter().filter_map(|value| value.get(field)).collect();
        if !required(field) && present.len() == values.len() {
            unseen.push(format!("{place}: absent"));
        }
        if present.is_empty() {
            unseen.push(format!("{place}: present"));
        } else {
            walk(root, &place, schema, &present, unseen);
        }
    }
}

/// Whether the value is of this case: by its tag where there is one, else by its kind.
fn fits(root: &Value, case: &Value, value: &Value) -> bool {
    if let Some(constants) = constants(case) {
        return constants.contains(&value.to_string());
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fields = case.get("properties").and_then(Value::as_object);
    let tagged = fields.into_iter().flatten().all(|(field, schema)| {
        let constants = constants(resolve(root, schema));
        constants.is_none_or(|constants| {
            value
                .get(field)
                .is_some_and(|value| constants.contains(&value.to_string()))
        })
    });
    types(case).contains(kind) && tagged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object", "required": ["why", "items"],
            "properties": {
                "why": { "oneOf": [
                    { "type": "object", "required": ["code"],
                      "properties": { "code": { "const": "short", "type": "string" }, "by": { "$ref": "#/$defs/Many" } } },
                    { "type": "object", "required": ["code"], "properties": { "code": { "const": "late", "type": "string" } } },
                ] },
                "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "items": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] } },
            },
            "$defs": { "Many": { "type": "integer" } },
        })
    }

    #[test]
    fn samples_that_show_everything_are_enough() {
        let samples = [
            json!({ "why": { "code": "short", "by": 2 }, "note": "n", "items": ["a"] }),
            json!({ "why": { "code": "short" }, "items": ["b"] }),
            json!({ "why": { "code": "late" }, "items": [] }),
        ];
        assert_eq!(
            unseen(&schema(), &samples.iter().collect::<Vec<_>>()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_part_that_no_sample_shows_is_named() {
        let one = json!({ "why": { "code": "short" }, "items": ["a"] });
        let expected = [
            "/items/[]/: the value \"b\"",
            "/note: present",
            "/why/by: present",
            "/why/: the case \"late\"",
        ];
        assert_eq!(unseen(&schema(), &[&one]), expected);
        let other = json!({ "why": { "code": "late" }, "note": "n", "items": [] });
        let expected = [
            "/items/: an element",
            "/note: absent",
            "/why/: the case \"short\"",
        ];
        assert_eq!(unseen(&schema(), &[&other]), expected);
    }
}
