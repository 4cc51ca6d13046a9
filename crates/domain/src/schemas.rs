//! What is written down about events and held against the code. Under `schemas/events` each type that is read has
//!
//! - its JSON Schema, whose shape never changes ([`shape`]); `UPDATE_SCHEMAS=1 cargo test -p domain` rewrites its words;
//! - samples, `<type>.sample.json` and `<type>.<case>.sample.json`: they stand for what is in somebody's log, show every part of
//!   the schema ([`coverage`]), and are decoded by every build to come;
//! - of a sample that is not written any more, what it becomes: `<type>.<case>.as-v2.json`.
//!
//! Samples and what they become are pinned by `frozen.sha256` ([`frozen`]). Under `schemas/states` stands what the samples fold
//! to, which somebody's table of states has ([`states`]).

mod coverage;
mod frozen;
mod shape;
mod states;

use std::fs;
use std::path::{Path, PathBuf};

use eventsourcing::aggregate::Event;
use serde_json::Value;

use crate::order::{self, OrderEvent};
use crate::product::{self, ProductEvent};
use crate::stock_item::{self, StockEvent};

type Schemas = Vec<(&'static str, schemars::Schema)>;

const GUIDE: &str = "make a new version: docs/guides/evolving-an-event.md";

fn schemas() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn folder(service: &str) -> PathBuf {
    schemas().join("events").join(service)
}

/// Whether the files are to be rewritten, as far as they may be.
fn updating() -> bool {
    std::env::var_os("UPDATE_SCHEMAS").is_some()
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The samples of a type by file name, in order.
fn samples(service: &str, event_type: &str) -> Vec<(String, Value)> {
    let files = fs::read_dir(folder(service)).expect("readable");
    let names = files.map(|file| file.expect("readable").file_name().into_string().expect("text"));
    let of_type = |name: &String| {
        let case = name
            .strip_suffix(".sample.json")
            .and_then(|stem| stem.strip_prefix(event_type));
        case.is_some_and(|case| case.is_empty() || case.starts_with('.'))
    };
    let mut names: Vec<String> = names.filter(of_type).collect();
    names.sort();
    let read = |name: String| {
        let sample = json(&folder(service).join(&name));
        (name, sample)
    };
    names.into_iter().map(read).collect()
}

/// One test, for the pins come after what they pin.
#[test]
fn events_keep_their_forms() {
    check::<ProductEvent>(product::SERVICE, ProductEvent::schemas());
    check::<StockEvent>(stock_item::SERVICE, StockEvent::schemas());
    check::<OrderEvent>(order::SERVICE, OrderEvent::schemas());
    frozen::check();
}

fn check<E: Event>(service: &str, schemas: Schemas) {
    for (event_type, schema) in schemas {
        check_schema(service, event_type, &schema);
        let samples = samples(service, event_type);
        assert!(
            !samples.is_empty(),
            "{event_type} has no sample in {}",
            folder(service).display()
        );
        for (name, sample) in &samples {
            check_sample::<E>(service, event_type, name, sample);
        }
        let values: Vec<&Value> = samples.iter().map(|(_, sample)| sample).collect();
        let unseen = coverage::unseen(schema.as_value(), &values);
        assert!(
            unseen.is_empty(),
            "add samples of {event_type} to {}: {unseen:#?}",
            folder(service).display()
        );
    }
}

fn check_schema(service: &str, event_type: &str, schema: &schemars::Schema) {
    let path = folder(service).join(format!("{event_type}.schema.json"));
    if path.exists() {
        let broken = shape::changes(&json(&path), schema.as_value());
        assert!(
            broken.is_empty(),
            "{event_type} has another shape; {GUIDE}: {broken:#?}"
        );
    }
    if updating() {
        fs::create_dir_all(folder(service)).expect("writable");
        fs::write(&path, pretty(schema)).expect("writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed,
        pretty(schema),
        "{} is stale: make schemas",
        path.display()
    );
}

/// It decodes, and encodes to itself, or to what it becomes in the version that is written today.
fn check_sample<E: Event>(service: &str, event_type: &str, name: &str, sample: &Value) {
    let event = E::decode(event_type, sample.to_string().as_bytes());
    let event =
        event.unwrap_or_else(|error| panic!("{name} is in somebody's log and decodes for ever: {error}"));
    let mut encoded = Vec::new();
    event.encode(&mut encoded);
    let encoded: Value = serde_json::from_slice(&encoded).expect("JSON");
    let written = event.event_type();
    if written == event_type {
        assert_eq!(encoded, *sample, "{name} does not encode to itself");
        return;
    }
    let (_, version) = written.rsplit_once('.').expect("a type ends with its version");
    let becomes = name.replace(".sample.json", &format!(".as-{version}.json"));
    let path = folder(service).join(&becomes);
    if updating() && !path.exists() {
        fs::write(&path, pretty(&encoded)).expect("writable");
    }
    assert_eq!(encoded, json(&path), "{name} does not become {becomes}");
}
