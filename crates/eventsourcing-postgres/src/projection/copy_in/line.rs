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
        name: String::new(),
        in_name: false,
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
    /// Of the last field.
    name: String,
    in_name: bool,
    /// Whether the column takes JSON.
    json: bool,
}

impl Line<'_> {
    const fn in_row(&self) -> bool {
        self.depth == 1
    }

    /// Whether a string is a whole column, which has no quotes.
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

    fn begin_column<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        let Table {
            name: table, columns, ..
        } = self.table;
        let left = columns.iter().enumerate().skip(self.columns);
        let found = left
            .map(|(at, (name, definition))| (at, name, definition))
            .find(|(_, name, _)| self.name == **name);
        let Some((at, _, definition)) = found else {
            let name = &self.name;
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
            self.name.clear();
            self.in_name = true;
            return Ok(());
        }
        CompactFormatter.begin_object_key(out, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if std::mem::take(&mut self.in_name) {
            return self.begin_column(out);
        }
        Ok(())
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
        if self.bare() || self.in_name {
            return Ok(());
        }
        CompactFormatter.begin_string(out)
    }

    fn end_string<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.bare() || self.in_name {
            return Ok(());
        }
        CompactFormatter.end_string(out)
    }

    // What JSON need not escape, `COPY` need not either.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> Result<()> {
        if self.in_name {
            self.name.push_str(text);
            return Ok(());
        }
        out.write_all(text.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> Result<()> {
        if self.in_name {
            // In no column's name.
            self.name.push('\u{fffd}');
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
mod tests;
