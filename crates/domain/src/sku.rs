//! Stock keeping units.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::value::{InvalidValue, serialize_as_text};

/// The longest SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 64;

/// 1 to [`SKU_BYTES_MAX`] bytes of printable ASCII without a slash, case-sensitive: real wholesalers
/// have `85123A` and `85123a`, `BANK CHARGES` and `gift_0001_20`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Sku(Box<str>);

impl Sku {
    /// The SKU, when it keeps the limits (`invalid_sku`).
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidValue> {
        let text: String = text.into();
        let printable = text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'/');
        if text.trim().is_empty() || text.len() > SKU_BYTES_MAX || !printable {
            let detail = format!("a SKU is 1 to {SKU_BYTES_MAX} printable ASCII characters without a slash");
            return Err(InvalidValue::new("invalid_sku", detail));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

serialize_as_text!(Sku: as_str);

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
