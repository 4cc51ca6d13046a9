//! `projections.on_error`: what becomes of an event that a projection cannot apply.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use eventsourcing_postgres::projection::{OnError, Projection};
use serde::{Deserialize, Serialize};

/// A policy for all read models, and others for some by name: `park`, `halt`, `park,orders=halt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OnErrors {
    all: OnError,
    named: BTreeMap<String, OnError>,
}

impl OnErrors {
    /// The same projection with its policy. Owners do without a table of states that has something parked, and go
    /// on: there is no reason to halt for it.
    #[must_use]
    pub fn with(&self, projection: Projection) -> Projection {
        if !read_models().contains(&projection.name()) {
            return projection;
        }
        let policy = self.named.get(projection.name()).unwrap_or(&self.all);
        projection.on_error(*policy)
    }
}

fn read_models() -> Vec<&'static str> {
    projections::read_models().iter().map(Projection::name).collect()
}

fn policy(text: &str) -> Result<OnError, String> {
    match text {
        "park" => Ok(OnError::Park),
        "halt" => Ok(OnError::Halt),
        other => Err(format!("{other:?} is neither `park` nor `halt`")),
    }
}

const fn name(policy: OnError) -> &'static str {
    match policy {
        OnError::Park => "park",
        OnError::Halt => "halt",
    }
}

impl FromStr for OnErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let all = policy(parts.next().unwrap_or_default())?;
        let mut named = BTreeMap::new();
        for part in parts {
            let (projection, of_it) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not NAME=park or NAME=halt"))?;
            let known = read_models();
            if !known.contains(&projection) {
                return Err(format!(
                    "there is no read model {projection:?}; there are {}",
                    known.join(", ")
                ));
            }
            if named.insert(projection.to_owned(), policy(of_it)?).is_some() {
                return Err(format!("{projection} is named twice"));
            }
        }
        Ok(Self { all, named })
    }
}

impl TryFrom<String> for OnErrors {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for OnErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.all))?;
        self.named
            .iter()
            .try_for_each(|(projection, policy)| write!(f, ",{projection}={}", name(*policy)))
    }
}

impl From<OnErrors> for String {
    fn from(all: OnErrors) -> Self {
        all.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in ["park", "halt", "park,orders=halt", "halt,orders=park,sales=park"] {
            assert_eq!(text.parse::<OnErrors>().expect(text).to_string(), text);
        }
        let spaced: OnErrors = "park, orders=halt".parse().expect("reads");
        assert_eq!(spaced.to_string(), "park,orders=halt");
        assert_eq!(OnErrors::default().to_string(), "park");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "neither `park` nor `halt`"),
            ("stop", "\"stop\" is neither"),
            ("orders=halt", "\"orders=halt\" is neither"),
            ("park,orders", "\"orders\" is not NAME=park"),
            ("park,orders=stop", "\"stop\" is neither"),
            (
                "park,ordres=halt",
                "no read model \"ordres\"; there are products,",
            ),
            ("park,order_states=halt", "no read model \"order_states\""),
            ("park,orders=halt,orders=park", "orders is named twice"),
        ] {
            let error = text.parse::<OnErrors>().expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
