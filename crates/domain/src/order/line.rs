//! The lines of an order.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::money::Price;
use crate::quantity::Quantity;
use crate::sku::Sku;
use crate::value::InvalidValue;

/// The most lines of one order. The largest real invoice seen has 705.
pub const LINES_MAX: usize = 2_000;

/// So many units of one SKU at this price each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// What one costs, in minor units of the order's currency; frozen when the order is placed.
    pub unit_price: Price,
}

/// What an order takes from stock: all of its lines with one SKU together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// How many units of `sku` these items are; 0 when it is not among them.
pub fn units_of(items: &[Item], sku: &Sku) -> i64 {
    let of_sku = items.iter().filter(|item| item.sku == *sku);
    of_sku.map(|item| i64::from(item.quantity.units())).sum()
}

/// 1 to [`LINES_MAX`] lines whose total fits, and whose units of each SKU are a valid quantity.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Line>")]
#[schemars(with = "Vec<Line>")]
pub struct Lines {
    lines: Vec<Line>,
    total: i64,
}

impl Lines {
    /// The lines, when they keep the limits (`empty_order`, `too_many_lines`, `amount_overflow`,
    /// `invalid_quantity`).
    pub fn new(lines: Vec<Line>) -> Result<Self, InvalidValue> {
        Self::check_count(lines.len())?;
        let sum = |sum: i64, line: &Line| sum.checked_add(line.unit_price.times(line.quantity)?);
        let overflow = || InvalidValue::new("amount_overflow", "the total is too large");
        let total = lines.iter().try_fold(0, sum).ok_or_else(overflow)?;
        let checked = Self { lines, total };
        // Most orders are too small for any SKU to have too many.
        if Quantity::new(checked.units()).is_err() {
            for (_, units) in units_by_sku(&checked.lines) {
                Quantity::new(units)?;
            }
        }
        Ok(checked)
    }

    /// Whether an order may have so many lines (`empty_order`, `too_many_lines`); for callers who want
    /// to know before they look at each of them.
    pub fn check_count(count: usize) -> Result<(), InvalidValue> {
        if count == 0 {
            return Err(InvalidValue::new("empty_order", "an order has at least one line"));
        }
        if count > LINES_MAX {
            let detail = format!("an order has at most {LINES_MAX} lines, this one has {count}");
            return Err(InvalidValue::new("too_many_lines", detail));
        }
        Ok(())
    }

    /// The lines as given.
    pub fn as_slice(&self) -> &[Line] {
        &self.lines
    }

    /// Σ quantity × unit price, in minor units.
    pub const fn total(&self) -> i64 {
        self.total
    }

    /// Σ quantity.
    pub fn units(&self) -> i64 {
        self.lines
            .iter()
            .map(|line| i64::from(line.quantity.units()))
            .sum()
    }

    /// What is taken from stock, each SKU once, in the order of the SKUs: two orders that want the
    /// same items ask for them in the same order.
    pub fn items(&self) -> Vec<Item> {
        let item = |(sku, units): (&Sku, i64)| Item {
            sku: sku.clone(),
            quantity: Quantity::new(units).expect("checked when the lines were made"),
        };
        units_by_sku(&self.lines).into_iter().map(item).collect()
    }
}

fn units_by_sku(lines: &[Line]) -> BTreeMap<&Sku, i64> {
    let mut units: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in lines {
        *units.entry(&line.sku).or_default() += i64::from(line.quantity.units());
    }
    units
}

impl TryFrom<Vec<Line>> for Lines {
    type Error = InvalidValue;

    fn try_from(lines: Vec<Line>) -> Result<Self, Self::Error> {
        Self::new(lines)
    }
}

// Written out, because serde's `into` would copy the lines for each event and each row.
impl Serialize for Lines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lines.serialize(serializer)
    }
}
