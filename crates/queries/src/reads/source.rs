//! What a read is of: a read model as it is, or as it stood at an instant.

use std::borrow::Cow;
use std::fmt;

use eventsourcing::snapshot;
use serde::Deserialize;
use time::OffsetDateTime;

use super::model::ReadModel;

const EXPECTED: &str = "A time with its zone, as in 2011-06-30T00:00:00Z (a plus sign is sent as %2B), with at most six \
                        decimals of a second.";

/// The instant of `?as_of=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AsOf(pub(super) OffsetDateTime);

impl TryFrom<String> for AsOf {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        snapshot::parse_instant(&text).map(Self).map_err(|_| EXPECTED)
    }
}

/// UTC, RFC 3339.
impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&snapshot::instant(self.0))
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) model: ReadModel,
    pub(crate) as_of: Option<AsOf>,
}

impl Source {
    /// The projection that keeps it, as `read.checkpoints` has it.
    pub(super) fn projection(self) -> Cow<'static, str> {
        match self.as_of {
            None => self.model.projection().into(),
            Some(AsOf(at)) => snapshot::name(self.model.projection(), at).into(),
        }
    }

    /// The view that shows it. Of what a client sends it holds nothing but digits.
    pub(super) fn view(self) -> String {
        format!("read.{}", self.projection())
    }
}

/// As the command line that builds it has it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model.projection())?;
        match self.as_of {
            None => Ok(()),
            Some(as_of) => write!(f, " --as-of {as_of}"),
        }
    }
}
