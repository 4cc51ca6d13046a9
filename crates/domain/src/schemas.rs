//! The files under `schemas/events`: one JSON Schema and one frozen sample for each event type.
//! `UPDATE_SCHEMAS=1 cargo test -p domain` rewrites the schemas; a sample is never rewritten, because
//! it stands for what is in somebody's log. And under `schemas/states` what the samples fold to, which
//! somebody's table of states has.

use std::fs;
use std::path::PathBuf;

use eventsourcing::aggregate::{Aggregate, Event};
use eventsourcing::states::KeptState;
use serde_json::Value;

use crate::order::{Order, OrderEvent};
use crate::product::{Product, ProductEvent};
use crate::stock_item::{StockEvent, StockItem};

fn folder(service: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas/events")
        .join(service)
}

fn check<E: Event>(service: &str, schemas: Vec<(&'static str, schemars::Schema)>) {
    for (event_type, schema) in schemas {
        let path = folder(service).join(format!("{event_type}.schema.json"));
        let current = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(folder(service)).expect("writable");
            fs::write(&path, &current).expect("writable");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            committed,
            current,
            "{} is stale: UPDATE_SCHEMAS=1 cargo test -p domain",
            path.display()
        );

        let path = folder(service).join(format!("{event_type}.sample.json"));
        let sample = fs::read(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
        let sample: serde_json::Value = serde_json::from_slice(&sample).expect("a sample is JSON");
        let event = E::decode(event_type, sample.to_string().as_bytes()).expect("a sample decodes for ever");
        assert_eq!(event.event_type(), event_type);
        let mut encoded = Vec::new();
        event.encode(&mut encoded);
        let encoded: serde_json::Value = serde_json::from_slice(&encoded).expect("JSON");
        assert_eq!(encoded, sample, "{event_type} does not encode to its sample");
    }
}

#[test]
fn catalog_events_match_their_schemas_and_samples() {
    check::<ProductEvent>(crate::product::SERVICE, ProductEvent::schemas());
}

#[test]
fn inventory_events_match_their_schemas_and_samples() {
    check::<StockEvent>(crate::stock_item::SERVICE, StockEvent::schemas());
}

#[test]
fn order_events_match_their_schemas_and_samples() {
    check::<OrderEvent>(crate::order::SERVICE, OrderEvent::schemas());
}

/// The states after each sample in turn, as they are kept; each decodes to what it was.
fn folded<A: Aggregate<State: KeptState + PartialEq>>(
    schemas: Vec<(&'static str, schemars::Schema)>,
) -> Value {
    let mut state = A::State::default();
    let steps = schemas.into_iter().map(|(event_type, _)| {
        let path = folder(A::State::SERVICE).join(format!("{event_type}.sample.json"));
        let sample = fs::read(&path).expect("a sample");
        A::evolve(
            &mut state,
            &A::Event::decode(event_type, &sample).expect("decodes"),
        );
        let kept = serde_json::to_value(&state).expect("JSON");
        let again: A::State = serde_json::from_value(kept.clone()).expect("what is kept decodes");
        assert!(again == state, "after {event_type} another state comes back");
        (event_type.to_owned(), kept)
    });
    Value::Object(steps.collect())
}

/// A state that changes its form without a new version would be read wrongly from somebody's table.
fn pinned<A: Aggregate<State: KeptState + PartialEq>>(schemas: Vec<(&'static str, schemars::Schema)>) {
    let (name, version) = (A::State::NAME, A::State::VERSION);
    let path = folder("").join(format!("../states/{name}.v{version}.json"));
    let folded = serde_json::to_string_pretty(&folded::<A>(schemas)).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() && !path.exists() {
        fs::write(&path, &folded).expect("writable");
    }
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        pinned,
        folded,
        "{} is what version {version} made of the samples. When the state has changed, raise `KeptState::VERSION` \
         and run UPDATE_SCHEMAS=1 cargo test -p domain; a new event alone adds its line by hand",
        path.display()
    );
}

#[test]
fn states_are_kept_in_the_form_of_their_version() {
    pinned::<Product>(ProductEvent::schemas());
    pinned::<StockItem>(StockEvent::schemas());
    pinned::<Order>(OrderEvent::schemas());
}
