//! Positions: `orders/3@1042` says "at least as new as this record". Several merge with commas.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::ids::Offset;
use crate::topic::{TopicPartition, of_generation};

/// The most positions one header may merge.
pub const POSITIONS_MAX: usize = 64;

/// The place of one record, by service, partition and offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The service that owns the topic, `orders`; with its generation from the second on, `orders-g2`.
    pub service: String,
    /// The partition.
    pub partition: u32,
    /// The record's offset.
    pub offset: Offset,
}

/// Why a text is not a position.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidPosition {
    /// Not of the form `service/partition@offset`.
    #[error("{0:?} is not of the form service/partition@offset")]
    Malformed(String),
    /// Too many merged into one.
    #[error("more than {POSITIONS_MAX} positions")]
    TooMany,
}

impl Position {
    /// The position of the record at `offset`.
    #[must_use]
    pub fn new(at: &TopicPartition, offset: Offset) -> Self {
        Self {
            service: at.topic.service().to_owned(),
            partition: at.partition,
            offset,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.service, self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || InvalidPosition::Malformed(text.chars().take(80).collect());
        let (service, place) = text.split_once('/').ok_or_else(malformed)?;
        let (partition, offset) = place.split_once('@').ok_or_else(malformed)?;
        let named = !service.is_empty()
            && service
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !named {
            return Err(malformed());
        }
        Ok(Self {
            service: service.to_owned(),
            partition: partition.parse().map_err(|_| malformed())?,
            offset: offset.parse().map_err(|_| malformed())?,
        })
    }
}

/// A merged position: the newest offset of each partition it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<(String, u32), Offset>);

impl Positions {
    /// Adds a position; of two in one partition the newer stays.
    pub fn merge(&mut self, position: Position) {
        let newest = self.0.entry((position.service, position.partition)).or_default();
        *newest = (*newest).max(position.offset);
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each partition's newest position, ordered.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|((service, partition), offset)| Position {
            service: service.clone(),
            partition: *partition,
            offset: *offset,
        })
    }

    /// The newest generation of `service` that is named here.
    pub fn generation(&self, service: &str) -> Option<u32> {
        let numbers = self.0.keys().map(|(named, _)| of_generation(named));
        numbers
            .filter(|(bare, _)| *bare == service)
            .map(|(_, number)| number)
            .max()
    }

    /// Of each service only the newest generation: it begins with everything the others hold.
    #[must_use]
    pub fn newest_generations(&self) -> Self {
        let newest = self.iter().filter(|position| {
            let (bare, number) = of_generation(&position.service);
            self.generation(bare) == Some(number)
        });
        newest.collect()
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut merged = Self::default();
        positions.into_iter().for_each(|position| merged.merge(position));
        merged
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, position) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut merged = Self::default();
        for (index, part) in text.split(',').enumerate() {
            if index == POSITIONS_MAX {
                return Err(InvalidPosition::TooMany);
            }
            merged.merge(part.trim().parse()?);
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_merge_to_the_newest_of_each_partition() {
        let merged: Positions = "orders/3@10, stock/0@5,orders/3@12".parse().expect("well formed");
        assert_eq!(merged.to_string(), "orders/3@12,stock/0@5");
    }

    #[test]
    fn the_newest_generation_of_each_service_says_it_all() {
        let all: Positions = "orders/0@9,orders-g2/1@3,orders-g2/0@1,stock/0@5"
            .parse()
            .expect("well formed");
        assert_eq!(
            (
                all.generation("orders"),
                all.generation("stock"),
                all.generation("catalog")
            ),
            (Some(2), Some(1), None)
        );
        assert_eq!(
            all.newest_generations().to_string(),
            "orders-g2/0@1,orders-g2/1@3,stock/0@5"
        );
    }

    #[test]
    fn malformed_positions_are_refused() {
        for text in [
            "",
            "orders",
            "orders/3",
            "orders/x@1",
            "/1@1",
            "orders/1@-1",
            "or ders/1@1",
        ] {
            assert!(text.parse::<Positions>().is_err(), "{text:?}");
        }
        let many = vec!["a/1@1"; POSITIONS_MAX + 1].join(",");
        assert_eq!(many.parse::<Positions>(), Err(InvalidPosition::TooMany));
    }
}
