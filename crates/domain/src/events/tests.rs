//! The chain and the half-way house, on an event that has been changed twice.

use eventsourcing::aggregate::{DecodeError, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedV1 {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedV2 {
    first: String,
    last: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    names: Vec<String>,
}

impl From<NamedV1> for NamedV2 {
    fn from(old: NamedV1) -> Self {
        let (first, last) = old.name.split_once(' ').unwrap_or((&old.name, ""));
        Self {
            first: first.to_owned(),
            last: last.to_owned(),
        }
    }
}

impl From<NamedV2> for Named {
    fn from(old: NamedV2) -> Self {
        Self {
            names: vec![old.first, old.last],
        }
    }
}

impl From<Named> for NamedV2 {
    fn from(new: Named) -> Self {
        let [first, last] = new.names.try_into().unwrap_or_default();
        Self { first, last }
    }
}

events! {
    /// Writes what it is.
    After {
        /// The event.
        Named(Named) = "shop.named.v3" from { "shop.named.v1" as NamedV1, "shop.named.v2" as NamedV2 },
    }
}

events! {
    /// The same while builds that know nothing of the third version are running.
    Before {
        /// The event.
        Named(Named) = "shop.named.v3" from { "shop.named.v1" as NamedV1, "shop.named.v2" as NamedV2 }
            writes "shop.named.v2" as NamedV2,
    }
}

fn ada() -> Named {
    Named {
        names: vec!["Ada".to_owned(), "Lovelace".to_owned()],
    }
}

fn encoded(event: &impl Event) -> (&'static str, String) {
    let mut out = Vec::new();
    event.encode(&mut out);
    (event.event_type(), String::from_utf8(out).expect("JSON"))
}

#[test]
fn every_version_is_read_through_the_steps_behind_it() {
    for (event_type, data) in [
        ("shop.named.v1", r#"{"name":"Ada Lovelace"}"#),
        ("shop.named.v2", r#"{"first":"Ada","last":"Lovelace"}"#),
        ("shop.named.v3", r#"{"names":["Ada","Lovelace"]}"#),
    ] {
        assert_eq!(
            After::decode(event_type, data.as_bytes()).expect("reads"),
            After::Named(ada())
        );
        assert_eq!(
            Before::decode(event_type, data.as_bytes()).expect("reads"),
            Before::Named(ada())
        );
    }
}

#[test]
fn an_older_version_is_written_as_long_as_it_says_so() {
    let newest = ("shop.named.v3", r#"{"names":["Ada","Lovelace"]}"#.to_owned());
    assert_eq!(encoded(&After::Named(ada())), newest);
    let (event_type, data) = encoded(&Before::Named(ada()));
    assert_eq!(
        (event_type, data.as_str()),
        ("shop.named.v2", r#"{"first":"Ada","last":"Lovelace"}"#)
    );
    // Whichever of the two writes, both read.
    assert_eq!(
        After::decode(event_type, data.as_bytes()).expect("reads"),
        After::Named(ada())
    );
}

#[test]
fn data_of_one_version_is_not_taken_for_another() {
    let malformed = After::decode("shop.named.v1", br#"{"first":"Ada","last":"Lovelace"}"#);
    assert!(
        matches!(&malformed, Err(DecodeError::Malformed { event_type, .. }) if event_type == "shop.named.v1"),
        "{malformed:?}"
    );
}

#[test]
fn a_version_of_the_future_is_told_as_such() {
    let error = After::decode("shop.named.v4", b"{}").expect_err("not known");
    assert!(
        matches!(error, DecodeError::NewerVersion { newest: 3, .. }),
        "{error}"
    );
    let error = After::decode("shop.renamed.v1", b"{}").expect_err("not known");
    assert!(matches!(error, DecodeError::UnknownType(_)), "{error}");
}

#[test]
fn every_version_has_a_schema() {
    let of =
        |schemas: Vec<(&'static str, _)>| schemas.into_iter().map(|(event_type, _)| event_type).collect();
    let (after, before): (Vec<_>, Vec<_>) = (of(After::schemas()), of(Before::schemas()));
    assert_eq!(after, ["shop.named.v3", "shop.named.v1", "shop.named.v2"]);
    assert_eq!(before, after);
}
