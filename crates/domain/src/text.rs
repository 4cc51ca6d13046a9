//! Text with a length limit.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::value::{InvalidValue, serialize_as_text};

/// 1 to `MAX` characters without control characters (a description may hold line breaks).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Text<const MAX: usize>(Box<str>);

/// A product's name, a brand, a category, a reason.
pub type Label = Text<200>;
/// A product's description.
pub type Description = Text<5000>;

impl<const MAX: usize> Text<MAX> {
    /// The text, when it keeps the limits (`invalid_text`).
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidValue> {
        let text: String = text.into();
        let plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
        if text.trim().is_empty() || text.chars().count() > MAX || !text.chars().all(plain) {
            let detail = format!("a text of 1 to {MAX} printable characters is expected");
            return Err(InvalidValue::new("invalid_text", detail));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

serialize_as_text!(const MAX, Text<MAX>: as_str);

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
