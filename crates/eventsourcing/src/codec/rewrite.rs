//! An event that is written down anew, by another owner in another log.

use bytes::Bytes;

use super::{Defect, META_HEADER, META_VERSION, text};
use crate::record::{Header, Record};
use crate::rule::Term;

/// The same event, as `term` writes it down anew: key, value and headers stay byte for byte, but for the term in
/// the `daybook` header.
pub fn in_term(record: &Record, term: Term) -> Result<Record, Defect> {
    let meta = Bytes::from(with_term(
        record,
        &format!("{};{}", term.epoch, term.owner.0.simple()),
    )?);
    let header = |(name, value): &Header| {
        let value = if name == META_HEADER { &meta } else { value };
        (name.clone(), value.clone())
    };
    Ok(Record {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(header).collect(),
    })
}

/// The `daybook` header of an event without its term: what stays when the event is written down anew.
pub fn meta_without_term(record: &Record) -> Result<String, Defect> {
    with_term(record, ";")
}

fn with_term(record: &Record, term: &str) -> Result<String, Defect> {
    let malformed = || Defect::Malformed(META_HEADER);
    let fields: Vec<&str> = text(record, META_HEADER)?.splitn(5, ';').collect();
    let [version, sequence, _, _, rest] = fields[..] else {
        return Err(malformed());
    };
    if version != META_VERSION {
        return Err(malformed());
    }
    Ok(format!("{version};{sequence};{term};{rest}"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::{Meta, meta_text};
    use super::*;
    use crate::ids::{CommandId, Digest, Epoch, OwnerId, Sequence};

    proptest! {
        #[test]
        fn an_event_in_another_term_is_the_same_event(
            numbers in any::<(u64, u64, u128, u64, u128)>(),
            actor in "[ -:<-~]{0,64}",
        ) {
            let (sequence, epoch, owner, other_epoch, other_owner) = numbers;
            let term = Term { epoch: Epoch(epoch), owner: OwnerId(Uuid::from_u128(owner)) };
            let other = Term { epoch: Epoch(other_epoch), owner: OwnerId(Uuid::from_u128(other_owner)) };
            let meta = |term| Meta {
                sequence: Sequence(sequence),
                term,
                command: CommandId(Uuid::from_u128(7)),
                digest: Digest(8),
                correlation: "request-1".into(),
                causation: None,
                actor: actor.as_str().into(),
            };
            let record = |term| Record {
                key: Bytes::from_static(b"order-1"),
                value: Bytes::from_static(b"{}"),
                headers: vec![
                    (Cow::Borrowed("ce_id"), Bytes::from_static(b"1")),
                    (Cow::Borrowed(META_HEADER), meta_text(&meta(term))),
                    (Cow::Borrowed("traceparent"), Bytes::from_static(b"00-1")),
                ],
            };
            let moved = in_term(&record(term), other).expect("well formed");
            prop_assert_eq!(&moved, &record(other));
            prop_assert_eq!(
                meta_without_term(&moved).expect("well formed"),
                meta_without_term(&record(term)).expect("well formed")
            );
        }
    }
}
