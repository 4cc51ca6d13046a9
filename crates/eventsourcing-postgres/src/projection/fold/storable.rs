//! Whether a row can be stored at all. Judged at each event, not at the last one of a batch: where a batch ends is
//! chance.

use std::io::{Result as IoResult, Write};

use eventsourcing::projection::Row;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// How JSON spells the one character that PostgreSQL cannot store.
const NUL: &[u8] = br"\u0000";

/// The length of the row's JSON, which nobody need write for that.
pub(super) fn storable<R: Row>(row: &R) -> Result<usize, String> {
    let (mut length, mut nul) = (Length(0), Nul(false));
    let mut serializer = Serializer::with_formatter(&mut length, &mut nul);
    row.serialize(&mut serializer)
        .map_err(|error| error.to_string())?;
    if nul.0 {
        return Err("the row holds a NUL character, which PostgreSQL cannot store".to_owned());
    }
    Ok(length.0)
}

/// Of what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, text: &[u8]) -> IoResult<usize> {
        self.0 += text.len();
        Ok(text.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// Whether there was one in a string.
struct Nul(bool);

impl Formatter for &mut Nul {
    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> IoResult<()> {
        self.0 |= matches!(escape, CharEscape::AsciiControl(0));
        CompactFormatter.write_char_escape(out, escape)
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, json: &str) -> IoResult<()> {
        self.0 |= has_nul(json.as_bytes());
        CompactFormatter.write_raw_fragment(out, json)
    }
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
    use eventsourcing::projection::Table;
    use serde::{Deserialize, Serialize};
    use serde_json::value::{RawValue, to_raw_value};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Any {
        Raw(Box<RawValue>),
        Value(Value),
    }

    impl Row for Any {
        const TABLE: Table = Table {
            name: "t",
            key: &["id"],
            columns: &[],
            indexes: &[],
        };
    }

    /// Each as a value and as JSON that is there already.
    fn both(value: &Value) -> [Any; 2] {
        let raw = to_raw_value(value).expect("a value has JSON");
        [Any::Raw(raw), Any::Value(value.clone())]
    }

    #[test]
    fn a_nul_is_found_wherever_it_is_and_nothing_else_is_taken_for_one() {
        for with in [
            json!("\0"),
            json!({"a": [1, "x\0"]}),
            json!({"\0": 1}),
            json!("\\\0"),
        ] {
            for row in both(&with) {
                storable(&row).expect_err("a NUL");
            }
        }
        for without in [
            json!("\\u0000"),
            json!("a\\\\u0000"),
            json!("\n\"\\"),
            json!(0),
            json!({"a": [1.5, null, "\u{1}ü"]}),
        ] {
            for row in both(&without) {
                assert_eq!(storable(&row), Ok(without.to_string().len()), "{without}");
            }
        }
    }
}
