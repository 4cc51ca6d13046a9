//! An order as it was.

use axum::http::{HeaderMap, StatusCode};
use eventsourcing::position::{InvalidPosition, Positions};
use http_kit::parameters::invalid_parameter;
use http_kit::position;
use http_kit::problem::Problem;
use serde::Deserialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::history::Entry;
use super::{Order, Shortage, columns, decode};
use crate::answer::One;
use crate::reads::ReadModel;

/// An order with its history. PostgreSQL makes times of the entries' texts as it did of the columns: to the
/// microsecond, in its own way of rounding.
pub(super) const ONE: One<Past> = One {
    model: ReadModel::OrderHistory,
    columns: concat!(
        columns!("order_history"),
        ", entries, ARRAY(SELECT (entry ->> 'time')::TIMESTAMPTZ \
         FROM JSONB_ARRAY_ELEMENTS(entries) WITH ORDINALITY AS listed (entry, number) ORDER BY number) AS times"
    ),
    by: "id =",
    decode: decode_past,
    sequence: |past| past.now.sequence,
    missing: "order_not_found",
};

/// What is known of an order.
pub(super) struct Past {
    pub(super) now: Order,
    /// The oldest first; at least one.
    pub(super) entries: Vec<Entry>,
}

/// Which of its states is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// After the event of this number.
    Sequence(u64),
    /// At this time.
    Time(OffsetDateTime),
}

/// An entry as the row holds it, beside its time.
#[derive(Deserialize)]
struct StoredEntry {
    sequence: i64,
    #[serde(rename = "type")]
    event_type: String,
    actor: String,
    request_id: String,
    event_id: String,
    status: String,
    reason: Option<String>,
    shortage: Option<Shortage>,
}

fn decode_past(row: &PgRow) -> Result<Past, sqlx::Error> {
    let Json(stored): Json<Vec<StoredEntry>> = row.try_get("entries")?;
    let times: Vec<OffsetDateTime> = row.try_get("times")?;
    let entries = stored.into_iter().zip(times).map(|(stored, time)| Entry {
        sequence: stored.sequence,
        event_type: stored.event_type,
        time,
        actor: stored.actor,
        request_id: stored.request_id,
        event_id: stored.event_id,
        status: stored.status,
        reason: stored.reason,
        shortage: stored.shortage,
    });
    Ok(Past {
        now: decode(row)?,
        entries: entries.collect(),
    })
}

impl Past {
    /// The order at that moment: 404 `sequence_not_reached`, or `order_not_found` when it did not exist then.
    pub(super) fn at(self, moment: Moment) -> Result<Order, Problem> {
        let newest = self.now.sequence;
        let first = self.entries.first().map(|entry| entry.time);
        let mut entries = self.entries.into_iter();
        let entry = match moment {
            Moment::Sequence(asked) => {
                let there = |entry: &Entry| u64::try_from(entry.sequence) == Ok(asked);
                entries.find(there).ok_or_else(|| not_reached(asked, newest))?
            }
            // Clocks of two owners may disagree: an event is not there before the one that it follows.
            Moment::Time(asked) => entries
                .take_while(|entry| entry.time <= asked)
                .last()
                .ok_or_else(|| not_there_yet(asked, first))?,
        };
        Ok(Order {
            status: entry.status,
            reason: entry.reason,
            shortage: entry.shortage,
            updated_at: entry.time,
            sequence: entry.sequence,
            ..self.now
        })
    }
}

fn not_reached(asked: u64, newest: i64) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "sequence_not_reached",
        "There is no such sequence yet",
    )
    .detail(format!(
        "The order is at sequence {newest}; {asked} was asked for."
    ))
    .sequence(newest.unsigned_abs())
    .retryable()
}

fn not_there_yet(asked: OffsetDateTime, first: Option<OffsetDateTime>) -> Problem {
    let text = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_else(|_| time.to_string());
    let since = first.map_or_else(String::new, |first| {
        format!("; its first event is of {}", text(first))
    });
    let detail = format!("The order did not exist at {}{since}.", text(asked));
    Problem::not_found("order_not_found").detail(detail)
}

/// What `at` and `sequence` ask for, beside the header `Daybook-Position`: positions to wait for, and a moment
/// unless the newest state will do.
pub(super) fn asked(
    headers: &HeaderMap,
    at: Option<&str>,
    sequence: Option<u64>,
) -> Result<(Positions, Option<Moment>), Problem> {
    let mut positions = position::in_headers(headers)?;
    let mut moment = None;
    if let Some(at) = at {
        if let Ok(time) = OffsetDateTime::parse(at, &Rfc3339) {
            moment = Some(Moment::Time(time));
        } else {
            let named: Positions = at.parse().map_err(|error| neither(&error))?;
            named.iter().for_each(|position| positions.merge(position));
        }
    }
    match (sequence, moment) {
        (None, moment) => Ok((positions, moment)),
        (Some(0), _) => Err(invalid_parameter("sequence", "The first is 1.")),
        (Some(_), Some(_)) => Err(invalid_parameter(
            "sequence",
            "A sequence and a time (`at`) are two moments: ask for one.",
        )),
        (Some(sequence), None) => Ok((positions, Some(Moment::Sequence(sequence)))),
    }
}

fn neither(error: &InvalidPosition) -> Problem {
    let detail = match error {
        InvalidPosition::TooMany => format!("{error}."),
        InvalidPosition::Malformed(_) => {
            "Neither a time of RFC 3339 (2026-01-31T12:00:00Z; write a + as %2B) nor positions (orders/3@1042)."
                .to_owned()
        }
    };
    invalid_parameter("at", &detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(at: Option<&str>, sequence: Option<u64>) -> Result<(String, Option<Moment>), String> {
        let mut headers = HeaderMap::new();
        headers.insert("daybook-position", "orders/1@5".parse().expect("a value"));
        let read = asked(&headers, at, sequence);
        read.map(|(positions, moment)| (positions.to_string(), moment))
            .map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn at_is_a_time_or_a_position_and_never_both() {
        let noon = OffsetDateTime::parse("2026-01-31T12:00:00Z", &Rfc3339).expect("a time");
        let header = || "orders/1@5".to_owned();
        assert_eq!(read(None, None), Ok((header(), None)));
        for time in ["2026-01-31T12:00:00Z", "2026-01-31T14:00:00.000+02:00"] {
            assert_eq!(
                read(Some(time), None),
                Ok((header(), Some(Moment::Time(noon)))),
                "{time}"
            );
        }
        let both = ("orders/1@5,orders/3@7".to_owned(), Some(Moment::Sequence(2)));
        assert_eq!(read(Some("orders/3@7"), Some(2)), Ok(both));
    }

    #[test]
    fn anything_else_is_refused() {
        for (at, sequence) in [
            (Some("yesterday"), None),
            (Some("2026-01-31"), None),
            (Some("2026-01-31T12:00:00 02:00"), None),
            (Some(""), None),
            (None, Some(0)),
            (Some("2026-01-31T12:00:00Z"), Some(1)),
        ] {
            assert_eq!(
                read(at, sequence),
                Err("invalid_parameter".to_owned()),
                "{at:?} {sequence:?}"
            );
        }
    }
}
