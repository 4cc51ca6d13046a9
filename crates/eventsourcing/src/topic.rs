//! Topics, partitions and which partition a key belongs to.

use std::fmt;
use std::sync::Arc;

use crate::ids::AggregateId;

/// The generation whose topics bear the bare name of their service.
pub const FIRST_GENERATION: u32 = 1;

/// What a position names, taken apart: `orders-g2` is the second generation of `orders`.
#[must_use]
pub fn of_generation(service: &str) -> (&str, u32) {
    let numbered = service.rsplit_once("-g").and_then(|(bare, number)| {
        let plain = !number.starts_with('0') && !number.starts_with('+');
        let number = number
            .parse()
            .ok()
            .filter(|number| plain && *number > FIRST_GENERATION)?;
        Some((bare, number))
    });
    numbered.unwrap_or((service, FIRST_GENERATION))
}

/// The name of an event topic, `<prefix>.<service>.events`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The event topic of `service` under `prefix`.
    #[must_use]
    pub fn events(prefix: &str, service: &str) -> Self {
        Self(Arc::from(format!("{prefix}.{service}.events")))
    }

    /// The event topic of a generation of `service`: each has a number of partitions of its own. The first is
    /// `<prefix>.orders.events`, the second `<prefix>.orders-g2.events`.
    #[must_use]
    pub fn generation(prefix: &str, service: &str, generation: u32) -> Self {
        if generation <= FIRST_GENERATION {
            Self::events(prefix, service)
        } else {
            Self::events(prefix, &format!("{service}-g{generation}"))
        }
    }

    /// A topic by its whole name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service with its generation, as positions name it: `orders` for `daybook.orders.events`, `orders-g2`
    /// for `daybook.orders-g2.events`.
    pub fn service(&self) -> &str {
        let stem = self.0.strip_suffix(".events").unwrap_or(&self.0);
        stem.rsplit('.').next().unwrap_or(stem)
    }

    /// The service, whatever the generation: `orders` for both.
    pub fn bare_service(&self) -> &str {
        of_generation(self.service()).0
    }

    /// What stands before the service; empty when nothing does.
    pub fn prefix(&self) -> &str {
        let stem = self.0.strip_suffix(".events").unwrap_or(&self.0);
        stem.rsplit_once('.').map_or("", |(prefix, _)| prefix)
    }

    /// One partition of this topic.
    #[must_use]
    pub fn partition(&self, partition: u32) -> TopicPartition {
        TopicPartition {
            topic: self.clone(),
            partition,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of one topic; shown as `daybook.orders.events/3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// The partition of `id` among `partitions`: Java's default partitioner, so that any Kafka client agrees.
#[must_use]
pub fn partition_of(id: &AggregateId, partitions: u32) -> u32 {
    partition_of_key(id.as_str().as_bytes(), partitions)
}

fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// `MurmurHash2` with Kafka's seed, over little-endian words.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Kafka hashes at most i32::MAX bytes; ids are far shorter.
    let length = u32::try_from(data.len()).expect("keys are shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_land_where_javas_partitioner_puts_them() {
        let golden = [
            ("21", 0),
            ("foobar", 6),
            ("abc", 3),
            ("kafka", 4),
            ("", 9),
            ("order-1", 10),
        ];
        for (key, partition) in golden {
            assert_eq!(partition_of_key(key.as_bytes(), 12), partition, "{key:?}");
        }
    }

    #[test]
    fn a_topic_knows_its_service() {
        assert_eq!(Topic::events("daybook", "orders").service(), "orders");
        assert_eq!(Topic::events("eu.shop", "orders").service(), "orders");
    }

    #[test]
    fn generations_have_topics_of_their_own_and_one_service() {
        for (generation, name, service) in [
            (1, "eu.shop.orders.events", "orders"),
            (2, "eu.shop.orders-g2.events", "orders-g2"),
            (10, "eu.shop.orders-g10.events", "orders-g10"),
        ] {
            let topic = Topic::generation("eu.shop", "orders", generation);
            assert_eq!((topic.as_str(), topic.service()), (name, service));
            assert_eq!(of_generation(topic.service()), ("orders", generation));
            assert_eq!((topic.prefix(), topic.bare_service()), ("eu.shop", "orders"));
        }
        for name in ["orders-g1", "orders-g02", "orders-g", "orders-g+2", "big-goods"] {
            assert_eq!(of_generation(name), (name, 1), "{name}");
        }
    }
}
