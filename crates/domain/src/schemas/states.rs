//! The kept states: a state that changes its form without a new version would be read wrongly from somebody's table.

use std::fs;

use eventsourcing::aggregate::{Aggregate, Event};
use eventsourcing::states::KeptState;
use serde_json::Value;

use super::{Schemas, json, pretty, updating};
use crate::order::{Order, OrderEvent};
use crate::product::{Product, ProductEvent};
use crate::stock_item::{StockEvent, StockItem};

/// The states after the first sample of each type in turn, as they are kept; each decodes to what it was.
fn folded<A: Aggregate<State: KeptState + PartialEq>>(schemas: Schemas) -> Value {
    let mut state = A::State::default();
    let steps = schemas.into_iter().map(|(event_type, _)| {
        let sample = json(&super::folder(A::State::SERVICE).join(format!("{event_type}.sample.json")));
        let event = A::Event::decode(event_type, sample.to_string().as_bytes()).expect("decodes");
        A::evolve(&mut state, &event);
        let kept = serde_json::to_value(&state).expect("JSON");
        let again: A::State = serde_json::from_value(kept.clone()).expect("what is kept decodes");
        assert!(again == state, "after {event_type} another state comes back");
        (event_type.to_owned(), kept)
    });
    Value::Object(steps.collect())
}

fn pinned<A: Aggregate<State: KeptState + PartialEq>>(schemas: Schemas) {
    let (name, version) = (A::State::NAME, A::State::VERSION);
    let path = super::schemas().join(format!("states/{name}.v{version}.json"));
    let folded = pretty(&folded::<A>(schemas));
    if updating() && !path.exists() {
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
