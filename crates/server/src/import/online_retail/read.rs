//! Reading the file: every line becomes part of an invoice or is rejected.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use csv::StringRecord;

use super::invoice::{Invoice, Kind, Line};
use crate::import::open;
use crate::import::price::{PriceError, hundredths};
use crate::import::rejects::Rejected;

const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// The file's content.
pub(super) struct Retail {
    pub(super) header: StringRecord,
    /// In order of their first line; an invoice's lines need not lie together.
    pub(super) invoices: Vec<Invoice>,
    pub(super) rejected: Vec<Rejected>,
    /// Lines read, the header not counted.
    pub(super) read: u64,
}

pub(super) fn file(path: &Path) -> anyhow::Result<Retail> {
    content(open(path)?).with_context(|| path.display().to_string())
}

pub(super) fn content(text: impl std::io::Read) -> anyhow::Result<Retail> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let header = reader.headers()?.clone();
    if header.iter().ne(COLUMNS) {
        bail!("the columns must be {}", COLUMNS.join(","));
    }
    let mut retail = Retail {
        header,
        invoices: Vec::new(),
        rejected: Vec::new(),
        read: 0,
    };
    let mut index: HashMap<String, usize> = HashMap::new();
    for record in reader.records() {
        let fields = record?;
        retail.read += 1;
        let number = fields.position().map_or(0, csv::Position::line);
        match line(number, &fields) {
            Ok((kind, line)) => {
                let invoice = &fields[0];
                let place = *index.entry(invoice.to_owned()).or_insert_with(|| {
                    retail.invoices.push(Invoice {
                        number: invoice.to_owned(),
                        kind,
                        lines: Vec::new(),
                    });
                    retail.invoices.len() - 1
                });
                retail.invoices[place].lines.push(line);
            }
            Err(code) => retail.rejected.push(Rejected {
                line: number,
                code: code.to_owned(),
                fields,
            }),
        }
    }
    Ok(retail)
}

/// The line, or the code of its rejection. The kind is looked at first: what is not an invoice has
/// no price to speak of.
fn line(number: u64, fields: &StringRecord) -> Result<(Kind, Line), &'static str> {
    if fields.len() != COLUMNS.len() {
        return Err("malformed_line");
    }
    let kind = Kind::of(&fields[0]).ok_or("unknown_invoice_kind")?;
    let pence = hundredths_signed(&fields[5])?;
    let quantity: i64 = fields[3].parse().map_err(|_| "invalid_quantity")?;
    let quantity = match kind {
        Kind::Order => u64::try_from(quantity).map_err(|_| "invalid_quantity")?,
        Kind::CreditNote => quantity.unsigned_abs(),
    };
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let line = Line {
        number,
        fields: fields.clone(),
        sku: fields[1].to_owned(),
        description: optional(&fields[2]),
        quantity,
        pence,
        date: fields[4].to_owned(),
        customer: optional(&fields[6]),
        country: fields[7].to_owned(),
    };
    Ok((kind, line))
}

fn hundredths_signed(text: &str) -> Result<i64, &'static str> {
    hundredths(text).map_err(|error| match error {
        PriceError::Invalid => "invalid_price",
        PriceError::Precision => "price_precision",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,a,\"LAMP, RED\",6,2010-12-01 08:26:00,2.55,17850,United Kingdom
C2,a,,-1,2010-12-01 09:00:00,2.55,,France
1,b,B,1,2010-12-01 08:20:00,1.5000,17850,United Kingdom
A3,x,Adjust,1,2010-12-01 08:26:00,0,,United Kingdom
1,c,C,1,2010-12-01 08:26:00,0.001,17850,United Kingdom
1,d,D,-3,2010-12-01 08:26:00,0,17850,United Kingdom
C,e,E,1,2010-12-01 08:26:00,1,17850,United Kingdom
1,f,F,1
";

    #[test]
    fn every_line_is_part_of_an_invoice_or_rejected() {
        let retail = content(FILE.as_bytes()).expect("reads");
        assert_eq!(retail.read, 8);
        let accepted: usize = retail.invoices.iter().map(|invoice| invoice.lines.len()).sum();
        assert_eq!(accepted + retail.rejected.len(), 8);
        let codes: Vec<_> = retail
            .rejected
            .iter()
            .map(|line| (line.line, line.code.as_str()))
            .collect();
        assert_eq!(
            codes,
            [
                (5, "unknown_invoice_kind"),
                (6, "price_precision"),
                (7, "invalid_price"),
                (8, "unknown_invoice_kind"),
                (9, "malformed_line"),
            ]
        );
    }

    #[test]
    fn an_invoice_is_dated_by_its_earliest_line_and_keeps_the_files_order() {
        let retail = content(FILE.as_bytes()).expect("reads");
        let body = retail.invoices[0].body().expect("has lines");
        assert_eq!(body["ordered_at"], "2010-12-01T08:20:00Z");
        assert_eq!(body["lines"][0]["sku"], "a");
        assert_eq!(body["lines"][1]["unit_price"]["amount"], 150);
        assert_eq!(body["customer"], "17850");
    }

    #[test]
    fn a_credit_note_has_positive_quantities_and_may_have_no_customer() {
        let retail = content(FILE.as_bytes()).expect("reads");
        let note = &retail.invoices[1];
        assert_eq!(note.kind, Kind::CreditNote);
        let body = note.body().expect("has lines");
        assert_eq!(body["lines"][0]["quantity"], 1);
        assert!(body.get("customer").is_none());
    }

    #[test]
    fn another_table_is_refused() {
        assert!(content("a,b\n1,2\n".as_bytes()).is_err());
    }
}
