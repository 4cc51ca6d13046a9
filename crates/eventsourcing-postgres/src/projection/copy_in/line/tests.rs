use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

const TABLE: Table = Table {
    name: "t",
    key: &["id"],
    columns: &[
        ("id", "TEXT NOT NULL"),
        ("n", "BIGINT"),
        ("j", "JSONB"),
        ("raw", "JSONB"),
        ("text", "TEXT"),
        ("gone", "TEXT"),
    ],
    indexes: &[],
};

#[derive(Default, Serialize)]
struct R {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    j: Value,
    raw: Option<Box<RawValue>>,
    text: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<String>,
}

fn text(row: &R) -> String {
    let mut out = Vec::new();
    write(&mut out, &TABLE, row).expect("a row");
    String::from_utf8(out).expect("text")
}

fn raw(json: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json.to_owned()).ok()
}

#[test]
fn a_line_is_what_copy_reads() {
    let row = R {
        id: "a\tb\\c\n\"\u{1}ü".to_owned(),
        n: Some(-1),
        j: json!({"k\t": ["\"x\\", 1.5, null, {}, []]}),
        raw: raw(r#"{"a": "\\\n"}"#),
        text: raw(r#""\\\t""#),
        gone: None,
    };
    let first = "a\\tb\\\\c\\n\"\u{1}ü\t-1\t";
    let json = r#"{"k\\t":["\\"x\\\\",1.5,null,{},[]]}"#;
    let raw = r#"{"a": "\\\\\\n"}"#;
    assert_eq!(text(&row), format!("{first}{json}\t{raw}\t\\\\\\t\t\\N\n"));
}

#[test]
fn what_is_left_out_or_nothing_is_null() {
    assert_eq!(text(&R::default()), "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n");
    let nothing = R {
        id: "null".to_owned(),
        raw: raw("null"),
        text: raw("null"),
        ..R::default()
    };
    assert_eq!(text(&nothing), "null\t\\N\t\\N\t\\N\t\\N\t\\N\n");
}

#[test]
fn a_field_out_of_order_is_refused() {
    let table = Table {
        columns: &[("j", "JSONB"), ("id", "TEXT")],
        ..TABLE
    };
    let row = R {
        id: "a".to_owned(),
        ..R::default()
    };
    let refused = write(&mut Vec::new(), &table, &row).expect_err("an order");
    assert!(
        refused.to_string().contains("the field j is no column of t"),
        "{refused}"
    );
}
