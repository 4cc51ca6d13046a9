//! Whether a row can be stored at all. Judged at each event, not at the last one of a batch: where a batch ends is
//! chance.

use eventsourcing::projection::Row;

/// How JSON spells the one character that PostgreSQL cannot store.
const NUL: &[u8] = br"\u0000";

/// The length of the row's text; `text` is room for it.
pub(super) fn storable<R: Row>(row: &R, text: &mut Vec<u8>) -> Result<usize, String> {
    text.clear();
    serde_json::to_writer(&mut *text, row).map_err(|error| error.to_string())?;
    if has_nul(text) {
        return Err("the row holds a NUL character, which PostgreSQL cannot store".to_owned());
    }
    Ok(text.len())
}

/// In a string's text each backslash is one that escapes, or the second of two.
fn has_nul(json: &[u8]) -> bool {
    let mut at = 0;
    while let Some(backslash) = json[at..].iter().position(|byte| *byte == b'\\') {
        let escape = &json[at + backslash..];
        if escape.starts_with(NUL) {
            return true;
        }
        at += backslash + 2;
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::has_nul;

    fn found(value: &Value) -> bool {
        has_nul(value.to_string().as_bytes())
    }

    #[test]
    fn a_nul_is_found_wherever_it_is_and_nothing_else_is_taken_for_one() {
        for with in [
            json!("\0"),
            json!({"a": [1, "x\0"]}),
            json!({"\0": 1}),
            json!("\\\0"),
        ] {
            assert!(found(&with), "{with}");
        }
        for without in [
            json!("\\u0000"),
            json!("a\\\\u0000"),
            json!("\n\"\\"),
            json!(0),
            json!("\u{1}"),
        ] {
            assert!(!found(&without), "{without}");
        }
    }
}
