//! The files under `schemas/events`: one JSON Schema and one frozen sample for each event type.
//! `UPDATE_SCHEMAS=1 cargo test -p domain` rewrites the schemas; a sample is never rewritten, because
//! it stands for what is in somebody's log.

use std::fs;
use std::path::PathBuf;

use eventsourcing::aggregate::Event;

use crate::order::OrderEvent;
use crate::product::ProductEvent;
use crate::stock_item::StockEvent;

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
