//! The shape of a record: what the limits produce is of the size, and about as compressible, as what
//! Daybook writes, because it is made from one of Daybook's own records.

use eventsourcing::codec::META_HEADER;
use eventsourcing::record::Record;
use rdkafka::message::{Header, OwnedHeaders};
use serde::{Deserialize, Serialize};

/// The length of an id in hex.
const ID_BYTES: usize = 32;

/// A sample to make records from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Shape {
    /// Of this record.
    pub(crate) fn of(sample: &Record) -> Self {
        let headers = sample.headers.iter();
        Self {
            key: sample.key.to_vec(),
            value: sample.value.to_vec(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_vec()))
                .collect(),
        }
    }

    /// Bytes of key, value and headers.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.key.len() + self.value.len() + headers.sum::<usize>()
    }

    /// A key that ends in `id`.
    pub(crate) fn key(&self, id: &str) -> Vec<u8> {
        let mut key = self.key.clone();
        let at = key.len().saturating_sub(ID_BYTES);
        overwrite(&mut key, at, id.as_bytes());
        key
    }

    /// A value that begins with `content`, cut or filled up to the sample's length.
    pub(crate) fn value(&self, content: &[u8]) -> Vec<u8> {
        let mut value = self.value.clone();
        overwrite(&mut value, 0, content);
        value
    }

    /// The sample's headers, with another id where each record has its own.
    pub(crate) fn headers(&self, key: &[u8], id: &str) -> OwnedHeaders {
        let blank = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(blank, |headers, (name, value)| {
            let mut own = value.clone();
            match name.as_str() {
                "ce_id" => overwrite(&mut own, 0, id.as_bytes()),
                "ce_subject" => overwrite(&mut own, 0, key),
                META_HEADER => {
                    let at = command_at(&own);
                    overwrite(&mut own, at, id.as_bytes());
                }
                _ => {}
            }
            headers.insert(Header {
                key: name,
                value: Some(&own),
            })
        })
    }
}

/// Where the command id begins: after the fourth separator.
fn command_at(meta: &[u8]) -> usize {
    let separators = meta.iter().enumerate().filter(|(_, byte)| **byte == b';');
    separators.map(|(at, _)| at + 1).nth(3).unwrap_or(0)
}

/// Puts `content` at `at`, as far as there is room.
fn overwrite(target: &mut [u8], at: usize, content: &[u8]) {
    let room = &mut target[at..];
    let length = room.len().min(content.len());
    room[..length].copy_from_slice(&content[..length]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn a_record_keeps_the_size_of_the_sample() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let sample = Record {
            key: text("order_00000000000000000000000000000000"),
            value: text("{\"lines\":[]}"),
            headers: vec![
                ("ce_id".into(), text("00000000-0000-0000-0000-000000000000")),
                (
                    META_HEADER.into(),
                    text("1;1;1;o;00000000000000000000000000000000;d;;;dev"),
                ),
            ],
        };
        let shape = Shape::of(&sample);
        assert_eq!(shape.size(), sample.size());
        let id = "0123456789abcdef0123456789abcdef";
        let key = shape.key(id);
        assert_eq!(key, b"order_0123456789abcdef0123456789abcdef");
        assert_eq!(shape.value(b"too long for this sample").len(), sample.value.len());
        let headers = shape.headers(&key, id);
        let meta = headers.get(1).value.expect("a value");
        assert_eq!(meta, format!("1;1;1;o;{id};d;;;dev").as_bytes());
    }
}
