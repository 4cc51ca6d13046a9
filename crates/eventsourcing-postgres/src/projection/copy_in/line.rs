//! A row as a line of `COPY`, in one pass: JSON, but for what a row's own fields look like.

use std::io::{Error, Result, Write};

use eventsourcing::projection::Table;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// Appends the row's line. Its fields are the table's columns, in their order; one that is left out is `NULL`.
pub(super) fn write(out: &mut Vec<u8>, table: &Table, row: &impl Serialize) -> serde_json::Result<()> {
    let mut line = Line {
        table,
        columns: 0,
        depth: 0,
        name: None,
        json: false,
    };
    row.serialize(&mut Serializer::with_formatter(&mut *out, &mut line))?;
    line.pass_over(out, table.columns.len())
        .map_err(serde_json::Error::io)?;
    out.push(b'\n');
    Ok(())
}

struct Line<'a> {
    table: &'a Table,
    /// Those that are written.
    columns: usize,
    /// Objects and arrays that are open.
    depth: usize,
    /// Of the field that begins.
    name: Option<String>,
    /// Whether the column takes JSON.
    json: bool,
}

impl Line<'_> {
    const fn in_row(&self) -> bool {
        self.depth == 1
    }

    /// Whether a string is written as it is: a name, to be known, or a column's whole value.
    const fn bare(&self) -> bool {
        self.in_row() && !self.json
    }

    /// `NULL` for all columns before this one.
    fn pass_over<W: ?Sized + Write>(&mut self, out: &mut W, column: usize) -> Result<()> {
        for column in self.columns..column {
            out.write_all(if column == 0 { br"\N" } else { b"\t\\N" })?;
        }
        self.columns = column;
        Ok(())
    }

    fn begin_column<W: ?Sized + Write>(&mut self, out: &mut W, name: &str) -> Result<()> {
        let columns = self.table.columns.iter().enumerate().skip(self.columns);
        let found = columns
            .map(|(at, column)| (at, *column))
            .find(|(_, column)| column.0 == name);
        let Some((at, (_, definition))) = found else {
            let table = self.table.name;
            return Err(Error::other(format!(
                "the field {name} is no column of {table}, or not in their order"
            )));
        };
        self.pass_over(out, at)?;
        if at > 0 {
            out.write_all(b"\t")?;
        }
        self.columns = at + 1;
        self.json = definition.starts_with("JSON");
        Ok(())
    }

    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth += 1;
        if self.depth > 1 {
            out.write_all(bracket)?;
        }
        Ok(())
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth -= 1;
        if self.depth > 0 {
            out.write_all(bracket)?;
        }
        Ok(())
    }
}

impl Formatter for &mut Line<'_> {
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.close(out, b"}")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.close(out, b"]")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> Result<()> {
        if self.in_row() {
            self.name = Some(String::new());
            return Ok(());
        }
        CompactFormatter.begin_object_key(out, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        match self.name.take() {
            Some(name) => self.begin_column(out, &name),
            None => Ok(()),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.in_row() {
            return Ok(());
        }
        CompactFormatter.begin_object_value(out)
    }

    fn write_null<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        out.write_all(if self.in_row() { br"\N" } else { b"null" })
    }

    fn begin_string<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.bare() || self.name.is_some() {
            return Ok(());
        }
        CompactFormatter.begin_string(out)
    }

    fn end_string<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.bare() || self.name.is_some() {
            return Ok(());
        }
        CompactFormatter.end_string(out)
    }

    // What JSON need not escape, `COPY` need not either.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> Result<()> {
        match &mut self.name {
            Some(name) => {
                name.push_str(text);
                Ok(())
            }
            None => out.write_all(text.as_bytes()),
        }
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> Result<()> {
        if let Some(name) = &mut self.name {
            // In no column's name.
            name.push('\u{fffd}');
            return Ok(());
        }
        if self.bare() {
            return out.write_all(match &escape {
                CharEscape::Quote => b"\"",
                CharEscape::Solidus => b"/",
                CharEscape::Backspace => b"\x08",
                CharEscape::FormFeed => b"\x0c",
                CharEscape::AsciiControl(byte) => std::slice::from_ref(byte),
                CharEscape::ReverseSolidus => br"\\",
                CharEscape::LineFeed => br"\n",
                CharEscape::CarriageReturn => br"\r",
                CharEscape::Tab => br"\t",
            });
        }
        // Each backslash of the JSON twice.
        out.write_all(match escape {
            CharEscape::ReverseSolidus => br"\\",
            _ => br"\",
        })?;
        CompactFormatter.write_char_escape(out, escape)
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, json: &str) -> Result<()> {
        if self.in_row() && json == "null" {
            return self.write_null(out);
        }
        if self.bare() && json.starts_with('"') {
            return escaped(out, &serde_json::from_str::<String>(json)?);
        }
        escaped(out, json)
    }
}

/// What the format gives a meaning to is written with a backslash.
fn escaped<W: ?Sized + Write>(out: &mut W, text: &str) -> Result<()> {
    for byte in text.as_bytes() {
        match byte {
            b'\\' => out.write_all(br"\\")?,
            b'\n' => out.write_all(br"\n")?,
            b'\r' => out.write_all(br"\r")?,
            b'\t' => out.write_all(br"\t")?,
            byte => out.write_all(std::slice::from_ref(byte))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
}
