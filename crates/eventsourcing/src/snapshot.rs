//! Names of snapshots: read models as they stood at an instant. Whoever builds one and whoever reads it derive the same
//! name from the instant alone.

use thiserror::Error;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// What a snapshot's name has beside its read model's, in bytes: with a read model's name of 26 bytes and a version of
/// four digits that is the 63 bytes that PostgreSQL takes.
pub const SUFFIX_BYTES_MAX: usize = 30;

const AS_OF: &str = "_as_of_";
const WHOLE: &[BorrowedFormatItem<'static>] =
    format_description!("[year][month][day]t[hour][minute][second]");

/// Why a text is no instant of a snapshot.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidInstant {
    /// Not RFC 3339, or not of a year of four digits in UTC.
    #[error("not a time with its zone, as in {EXAMPLE}")]
    Malformed,
    /// The name and the database hold no more.
    #[error("finer than a microsecond: at most six decimals of a second")]
    TooFine,
}

/// How an instant is written, for those who wrote something else.
pub const EXAMPLE: &str = "2011-06-30T00:00:00Z";

/// The instant that a client or a command line writes, in UTC.
pub fn parse_instant(text: &str) -> Result<OffsetDateTime, InvalidInstant> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    let at = at.and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    let at = at.filter(|at| (0..=9_999).contains(&at.year()));
    let at = at.ok_or(InvalidInstant::Malformed)?;
    if at.nanosecond() % 1_000 == 0 {
        Ok(at)
    } else {
        Err(InvalidInstant::TooFine)
    }
}

/// The name: `sales_as_of_20110630t000000z`. What is finer than a microsecond is not in it.
#[must_use]
pub fn name(read_model: &str, as_of: OffsetDateTime) -> String {
    let at = as_of.to_offset(UtcOffset::UTC);
    let whole = at.format(WHOLE).expect("a time has all of these parts");
    let fraction = match at.microsecond() {
        0 => String::new(),
        microseconds => format!("_{microseconds:06}"),
    };
    format!("{read_model}{AS_OF}{whole}{fraction}z")
}

/// The read model and the instant that a snapshot's name says; `None` for any other name.
#[must_use]
pub fn parse(name: &str) -> Option<(&str, OffsetDateTime)> {
    let (read_model, at) = name.rsplit_once(AS_OF)?;
    let at = at.strip_suffix('z')?;
    let (whole, microseconds) = at.split_once('_').unwrap_or((at, "0"));
    let whole = PrimitiveDateTime::parse(whole, WHOLE).ok()?.assume_utc();
    let fraction = Duration::microseconds(microseconds.parse().ok()?);
    Some((read_model, whole + fraction))
}

/// An instant as people and URLs have it: UTC, RFC 3339.
#[must_use]
pub fn instant(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    at.format(&Rfc3339)
        .expect("whoever wrote it had a year of four digits")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_name_holds_the_instant_in_utc_and_fits() {
        let (whole, fine) = (
            datetime!(2011-06-30 02:00 +02:00),
            datetime!(2011-06-30 00:00:00.000_007 UTC),
        );
        assert_eq!(name("sales", whole), "sales_as_of_20110630t000000z");
        assert_eq!(name("", fine), "_as_of_20110630t000000_000007z");
        assert_eq!(name("", fine).len(), SUFFIX_BYTES_MAX);
        for at in [whole, fine] {
            assert_eq!(parse(&name("sales", at)), Some(("sales", at)));
        }
        assert_eq!(parse("sales"), None);
        assert_eq!(instant(whole), "2011-06-30T00:00:00Z");
    }

    #[test]
    fn what_is_no_instant_in_utc_is_refused() {
        let wrong = [
            "",
            "yesterday",
            "2011-06-30",
            "2011-06-30T00:00:00",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ];
        for wrong in wrong {
            assert_eq!(parse_instant(wrong), Err(InvalidInstant::Malformed), "{wrong}");
        }
        let fine = "2011-06-30T00:00:00.0000001Z";
        assert_eq!(parse_instant(fine), Err(InvalidInstant::TooFine));
        let right = parse_instant("2011-06-30T02:00:00.000001+02:00");
        assert_eq!(right, Ok(datetime!(2011-06-30 00:00:00.000_001 UTC)));
    }
}
