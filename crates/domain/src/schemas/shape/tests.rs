//! The checker finds every change that somebody would trip over.

use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({
        "title": "Rejected", "type": "object", "additionalProperties": false, "required": ["reason", "units"],
        "properties": {
            "reason": { "$ref": "#/$defs/Reason" },
            "units": { "type": "integer", "format": "uint32", "minimum": 0 },
            "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            "items": { "type": "array", "items": { "$ref": "#/$defs/Item" } },
        },
        "$defs": {
            "Item": { "type": "object", "properties": { "sku": { "type": "string" } }, "required": ["sku"] },
            "Reason": { "oneOf": [
                { "type": "object", "properties": { "code": { "type": "string", "const": "short" }, "sku": { "type": "string" } },
                  "required": ["code", "sku"], "additionalProperties": false },
                { "type": "object", "properties": { "code": { "type": "string", "const": "late" } },
                  "required": ["code"], "additionalProperties": false },
            ] },
        },
    })
}

/// The changes when `change` is made to what lies at the pointer.
fn changed(pointer: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut current = schema();
    change(current.pointer_mut(pointer).expect("it is there"));
    changes(&schema(), &current)
}

const LOG: &str = "what is in the log could not be read";
const BUILDS: &str = "builds that still run could not read it";

#[test]
fn words_and_ways_of_writing_change_nothing() {
    let mut current = schema();
    current["title"] = json!("OrderRejected");
    current["$defs"]["Item"]["description"] = json!("One of them.");
    // Another name of a definition, and one that is written out.
    let reason = current["$defs"]
        .as_object_mut()
        .expect("definitions")
        .remove("Reason");
    current["$defs"]["Why"] = reason.expect("was there");
    current["properties"]["reason"] = json!({ "$ref": "#/$defs/Why", "description": "Why." });
    current["properties"]["items"]["items"] = current["$defs"]["Item"].clone();
    assert_eq!(changes(&schema(), &current), Vec::<String>::new());
}

#[test]
fn a_new_field_is_found() {
    let required = changed("", |schema| {
        schema["properties"]["by"] = json!({ "type": "string" });
        schema["required"] = json!(["reason", "units", "by"]);
    });
    let expected = [
        format!("/by: is required: {LOG}"),
        format!("/by: the field is refused: {BUILDS}"),
    ];
    assert_eq!(required, expected);
    // With a default what is in the log can be read, but builds that run refuse the field.
    let optional = changed("/properties", |fields| fields["by"] = json!({ "type": "string" }));
    assert_eq!(optional, [format!("/by: the field is refused: {BUILDS}")]);
}

#[test]
fn a_field_that_goes_is_found() {
    let gone = changed("/properties", |fields| {
        fields.as_object_mut().expect("fields").remove("note");
    });
    assert_eq!(gone, [format!("/note: the field is refused: {LOG}")]);
    let optional = changed("/required", |required| *required = json!(["reason"]));
    assert_eq!(optional, [format!("/units: is required: {BUILDS}")]);
    let inside = changed("/$defs/Item/required", |required| *required = json!([]));
    assert_eq!(inside, [format!("/items/[]/sku: is required: {BUILDS}")]);
}

#[test]
fn another_type_is_found() {
    let text = changed("/properties/units", |units| *units = json!({ "type": "string" }));
    assert!(
        text[0].starts_with(r#"/units/: type {"integer"} is {"string"}"#),
        "{text:?}"
    );
    let wider = changed("/properties/units", |units| {
        *units = json!({ "type": "integer", "format": "int64" });
    });
    assert_eq!(wider.len(), 1, "{wider:?}");
    assert!(wider[0].ends_with(BUILDS), "{wider:?}");
    let narrower = changed("/properties/units/minimum", |minimum| *minimum = json!(1));
    assert_eq!(
        narrower,
        [format!(
            "/units/: numbers 0 to 4294967295 are 1 to 4294967295: {LOG}"
        )]
    );
    let never_null = changed("/properties/note", |note| *note = json!({ "type": "string" }));
    assert_eq!(never_null.len(), 1, "{never_null:?}");
    assert!(
        never_null[0].starts_with("case \"null\": /note/: type") && never_null[0].ends_with(LOG),
        "{never_null:?}"
    );
}

#[test]
fn a_case_that_comes_or_goes_is_found() {
    let gone = changed("/$defs/Reason/oneOf", |cases| {
        cases.as_array_mut().expect("cases").pop();
    });
    assert!(
        gone[0].starts_with("case \"late\":") && gone.iter().all(|line| line.ends_with(LOG)),
        "{gone:?}"
    );
    let new = changed("/$defs/Reason/oneOf/1/properties/code/const", |code| {
        *code = json!("lost");
    });
    let found = |case: &str, who: &str| new.iter().any(|line| line.contains(case) && line.ends_with(who));
    assert!(found("\"late\"", LOG) && found("\"lost\"", BUILDS), "{new:?}");
}

#[test]
fn closing_and_keywords_nobody_thought_of_are_found() {
    let closed = changed("/$defs/Item", |item| item["additionalProperties"] = json!(false));
    assert_eq!(closed, [format!("/items/[]/: further fields are refused: {LOG}")]);
    let pattern = changed("/$defs/Item/properties/sku", |sku| sku["pattern"] = json!("^A"));
    assert_eq!(pattern.len(), 2, "{pattern:?}");
}
