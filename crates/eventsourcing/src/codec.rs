//! How events and fences become records and back: CloudEvents 1.0 in binary mode, with everything
//! that is ours packed into one header, because headers are the largest cost of producing.

mod rewrite;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::aggregate::{DecodeError, Event, Recorded};
use crate::ids::{AggregateId, CommandId, Digest, Epoch, EventId, Offset, OwnerId, Sequence};
use crate::record::{Header, Record, Stored};
use crate::rule::{Claim, Term};
use crate::topic::TopicPartition;
pub use rewrite::{in_term, meta_without_term};

/// The `ce_type` of a fence.
pub const FENCE_TYPE: &str = "daybook.fence.v1";
/// The one header that carries what is ours.
pub const META_HEADER: &str = "daybook";
/// The longest text field (correlation, actor) inside [`META_HEADER`], in bytes.
pub const META_TEXT_BYTES_MAX: usize = 128;

/// All that an event or a fence may have.
const HEADERS: [&str; 9] = [
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "content-type",
    "traceparent",
    META_HEADER,
];
const CONTENT_TYPE: &[u8] = b"application/json";
const META_VERSION: &str = "1";

/// What the `daybook` header of an event holds:
/// `1;sequence;epoch;owner;command;digest;correlation;causation;actor`, ids and digest in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The event's number within its aggregate.
    pub sequence: Sequence,
    /// The term it was written in.
    pub term: Term,
    /// The command that made it.
    pub command: CommandId,
    /// Of the request.
    pub digest: Digest,
    /// The request id.
    pub correlation: Arc<str>,
    /// The event whose process sent the command.
    pub causation: Option<EventId>,
    /// Who asked.
    pub actor: Arc<str>,
}

/// What a fence's value holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The epoch it opens.
    pub epoch: Epoch,
    /// Its owner.
    pub owner: OwnerId,
    /// The node's name, for people.
    pub node: String,
    /// Where the node takes forwarded commands.
    pub url: String,
}

impl Fence {
    /// The term it claims.
    pub const fn term(&self) -> Term {
        Term {
            epoch: self.epoch,
            owner: self.owner,
        }
    }
}

/// A record whose headers have been read; its data has not.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A fence.
    Fence(Fence),
    /// An event, accepted or not.
    Event(Envelope),
}

impl Parsed {
    /// What R judges.
    pub const fn claim(&self) -> Claim {
        match self {
            Self::Fence(fence) => Claim::Fence(fence.term()),
            Self::Event(envelope) => Claim::Event(envelope.meta.term),
        }
    }
}

/// The headers of an event.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `ce_type`.
    pub event_type: Arc<str>,
    /// `ce_subject` and key.
    pub aggregate: AggregateId,
    /// `ce_time`.
    pub time: OffsetDateTime,
    /// Ours.
    pub meta: Meta,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
}

/// A record that cannot be read. Names the place, so that it can be found and mended.
#[derive(Debug, Error)]
#[error("unreadable record at {at}@{offset}: {defect}")]
pub struct CorruptRecord {
    /// Its partition.
    pub at: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// What is wrong.
    pub defect: Defect,
}

/// What is wrong with a record.
#[derive(Debug, Error)]
pub enum Defect {
    /// A header that every record carries is not there.
    #[error("header {0:?} is missing")]
    Missing(&'static str),
    /// A header does not parse.
    #[error("header {0:?} is malformed")]
    Malformed(&'static str),
    /// The data is not the event its type says.
    #[error(transparent)]
    Data(#[from] DecodeError),
    /// An accepted event does not follow its predecessor. R's assertion: the log is broken.
    #[error("sequence {found} of {aggregate} follows {last}")]
    Sequence {
        /// The aggregate.
        aggregate: AggregateId,
        /// Its last sequence.
        last: Sequence,
        /// The sequence found.
        found: Sequence,
    },
}

impl Defect {
    /// The defect with its place.
    #[must_use]
    pub fn at(self, stored: &Stored) -> CorruptRecord {
        CorruptRecord {
            at: stored.at.clone(),
            offset: stored.offset,
            defect: self,
        }
    }
}

/// The record of an event.
#[must_use]
pub fn encode_event<E: Event>(source: &Bytes, envelope: &EventHead<'_>, event: &E) -> Record {
    let mut value = Vec::with_capacity(256);
    event.encode(&mut value);
    let key = Bytes::copy_from_slice(envelope.aggregate.as_str().as_bytes());
    let mut headers: Vec<Header> = Vec::with_capacity(9);
    let mut header = |name: &'static str, value: Bytes| headers.push((Cow::Borrowed(name), value));
    header("ce_specversion", Bytes::from_static(b"1.0"));
    header("ce_id", uuid_text(envelope.meta.command.event_id().0));
    header("ce_source", source.clone());
    header("ce_type", Bytes::from_static(event.event_type().as_bytes()));
    header("ce_subject", key.clone());
    header("ce_time", time_text(envelope.time));
    header("content-type", Bytes::from_static(CONTENT_TYPE));
    if let Some(trace) = envelope.traceparent {
        header("traceparent", Bytes::copy_from_slice(trace.as_bytes()));
    }
    header(META_HEADER, meta_text(envelope.meta));
    Record {
        key,
        value: Bytes::from(value),
        headers,
    }
}

/// What [`encode_event`] needs beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct EventHead<'a> {
    /// Its aggregate.
    pub aggregate: &'a AggregateId,
    /// When it was decided.
    pub time: OffsetDateTime,
    /// Ours.
    pub meta: &'a Meta,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
}

/// The record of a fence.
#[must_use]
pub fn encode_fence(source: &Bytes, fence: &Fence, time: OffsetDateTime) -> Record {
    let value = serde_json::to_vec(fence).expect("a fence is plain JSON");
    let headers = vec![
        (Cow::Borrowed("ce_specversion"), Bytes::from_static(b"1.0")),
        (Cow::Borrowed("ce_id"), uuid_text(fence.owner.0)),
        (Cow::Borrowed("ce_source"), source.clone()),
        (
            Cow::Borrowed("ce_type"),
            Bytes::from_static(FENCE_TYPE.as_bytes()),
        ),
        (Cow::Borrowed("ce_time"), time_text(time)),
        (Cow::Borrowed("content-type"), Bytes::from_static(CONTENT_TYPE)),
    ];
    Record {
        key: Bytes::new(),
        value: Bytes::from(value),
        headers,
    }
}

/// A header's name as a record holds it; one of ours takes no memory of its own.
#[must_use]
pub fn header_name(name: &str) -> Cow<'static, str> {
    let ours = HEADERS.into_iter().find(|ours| *ours == name);
    ours.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
}

/// Reads the headers of a record (and the value of a fence).
pub fn parse(stored: &Stored) -> Result<Parsed, CorruptRecord> {
    parse_record(&stored.record).map_err(|defect| defect.at(stored))
}

fn parse_record(record: &Record) -> Result<Parsed, Defect> {
    let event_type = text(record, "ce_type")?;
    if event_type == FENCE_TYPE {
        let fence = serde_json::from_slice(&record.value).map_err(|source| DecodeError::Malformed {
            event_type: FENCE_TYPE.to_owned(),
            source,
        })?;
        return Ok(Parsed::Fence(fence));
    }
    let key = std::str::from_utf8(&record.key).map_err(|_| Defect::Malformed("key"))?;
    let time = OffsetDateTime::parse(text(record, "ce_time")?, &Rfc3339);
    let meta = parse_meta(text(record, META_HEADER)?).ok_or(Defect::Malformed(META_HEADER))?;
    let traceparent = record
        .header("traceparent")
        .map(|value| String::from_utf8_lossy(value).into());
    Ok(Parsed::Event(Envelope {
        event_type: event_type.into(),
        aggregate: key.parse().map_err(|_| Defect::Malformed("key"))?,
        time: time.map_err(|_| Defect::Malformed("ce_time"))?,
        meta,
        traceparent,
    }))
}

/// The event of an accepted record.
pub fn decode<E: Event>(stored: &Stored, envelope: Envelope) -> Result<Recorded<E>, CorruptRecord> {
    let event = E::decode(&envelope.event_type, &stored.record.value)
        .map_err(|error| Defect::Data(error).at(stored))?;
    Ok(Recorded {
        event,
        aggregate: envelope.aggregate,
        time: envelope.time,
        at: stored.at.clone(),
        offset: stored.offset,
        meta: envelope.meta,
        traceparent: envelope.traceparent,
    })
}

fn text<'a>(record: &'a Record, name: &'static str) -> Result<&'a str, Defect> {
    let value = record.header(name).ok_or(Defect::Missing(name))?;
    std::str::from_utf8(value).map_err(|_| Defect::Malformed(name))
}

fn uuid_text(id: Uuid) -> Bytes {
    let mut buffer = Uuid::encode_buffer();
    Bytes::copy_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes())
}

fn time_text(time: OffsetDateTime) -> Bytes {
    Bytes::from(
        time.format(&Rfc3339)
            .expect("a clock's time has a four-digit year"),
    )
}

fn meta_text(meta: &Meta) -> Bytes {
    let mut out = String::with_capacity(192);
    let causation = meta
        .causation
        .map(|event| event.0.simple().to_string())
        .unwrap_or_default();
    write!(
        out,
        "{META_VERSION};{};{};{};{};{:016x};{};{causation};{}",
        meta.sequence,
        meta.term.epoch,
        meta.term.owner.0.simple(),
        meta.command.0.simple(),
        meta.digest.0,
        meta_field(&meta.correlation),
        meta_field(&meta.actor),
    )
    .expect("writing to a string cannot fail");
    Bytes::from(out)
}

/// Our own separator and control characters cannot occur in a field; callers validate, this makes sure.
fn meta_field(text: &str) -> Cow<'_, str> {
    let clean = |c: char| c != ';' && !c.is_control();
    if text.len() <= META_TEXT_BYTES_MAX && text.chars().all(clean) {
        return Cow::Borrowed(text);
    }
    let mut kept: String = text.chars().filter(|c| clean(*c)).collect();
    while kept.len() > META_TEXT_BYTES_MAX {
        kept.pop();
    }
    Cow::Owned(kept)
}

fn parse_meta(text: &str) -> Option<Meta> {
    let mut fields = text.split(';');
    if fields.next()? != META_VERSION {
        return None;
    }
    let sequence = fields.next()?.parse().ok()?;
    let epoch = fields.next()?.parse().ok()?;
    let owner = OwnerId(Uuid::try_parse(fields.next()?).ok()?);
    let command = CommandId(Uuid::try_parse(fields.next()?).ok()?);
    let digest = Digest(u64::from_str_radix(fields.next()?, 16).ok()?);
    let correlation = fields.next()?.into();
    let causation = match fields.next()? {
        "" => None,
        id => Some(EventId(Uuid::try_parse(id).ok()?)),
    };
    let actor = fields.next()?.into();
    let meta = Meta {
        sequence,
        term: Term { epoch, owner },
        command,
        digest,
        correlation,
        causation,
        actor,
    };
    fields.next().is_none().then_some(meta)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn meta_survives_its_header(
            numbers in any::<(u64, u64, u128, u128, u64)>(),
            causation in any::<Option<u128>>(),
            correlation in "[ -:<-~]{0,64}",
            actor in "[ -:<-~]{0,64}",
        ) {
            let (sequence, epoch, owner, command, digest) = numbers;
            let meta = Meta {
                sequence: Sequence(sequence),
                term: Term { epoch: Epoch(epoch), owner: OwnerId(Uuid::from_u128(owner)) },
                command: CommandId(Uuid::from_u128(command)),
                digest: Digest(digest),
                correlation: correlation.into(),
                causation: causation.map(|id| EventId(Uuid::from_u128(id))),
                actor: actor.into(),
            };
            let text = meta_text(&meta);
            prop_assert_eq!(parse_meta(std::str::from_utf8(&text).expect("ascii")), Some(meta));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(header in ".{0,200}") {
            let _ = parse_meta(&header);
        }
    }

    #[test]
    fn a_separator_inside_a_field_cannot_forge_another() {
        assert_eq!(meta_field("a;1;2\n"), "a12");
    }
}
