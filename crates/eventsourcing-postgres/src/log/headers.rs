//! A record's headers in one column: for each header a length and the name, a length and the value;
//! lengths are four bytes, big-endian. Order and repeats survive.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use eventsourcing::record::Header;

pub(super) fn encode(headers: &[Header]) -> Vec<u8> {
    let size = headers
        .iter()
        .map(|(name, value)| 8 + name.len() + value.len())
        .sum();
    let mut out = Vec::with_capacity(size);
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            out.put_u32(u32::try_from(part.len()).expect("a header is far smaller than 4 GiB"));
            out.put_slice(part);
        }
    }
    out
}

/// `None` when the column does not hold what [`encode`] writes.
pub(super) fn decode(mut column: Bytes) -> Option<Vec<Header>> {
    let mut headers = Vec::with_capacity(9);
    while column.has_remaining() {
        let name = part(&mut column)?;
        let value = part(&mut column)?;
        headers.push((Cow::Owned(String::from_utf8(name.to_vec()).ok()?), value));
    }
    Some(headers)
}

fn part(column: &mut Bytes) -> Option<Bytes> {
    if column.remaining() < 4 {
        return None;
    }
    let length = column.get_u32() as usize;
    (column.remaining() >= length).then(|| column.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_their_column() {
        let headers: Vec<Header> = vec![
            (Cow::Borrowed("a"), Bytes::from_static(b"1")),
            (Cow::Borrowed("empty"), Bytes::new()),
            (Cow::Borrowed("a"), Bytes::from_static(b"\xff")),
        ];
        assert_eq!(decode(Bytes::from(encode(&headers))), Some(headers));
    }

    #[test]
    fn a_damaged_column_is_noticed() {
        let column = encode(&[(Cow::Borrowed("name"), Bytes::from_static(b"value"))]);
        for cut in 1..column.len() {
            assert_eq!(
                decode(Bytes::copy_from_slice(&column[..cut])),
                None,
                "{cut} bytes"
            );
        }
    }
}
