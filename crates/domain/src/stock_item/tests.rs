use eventsourcing::given::given;
use eventsourcing::ids::CommandId;
use proptest::prelude::*;

use super::*;
use crate::ids::OrderId;
use crate::quantity::Quantity;
use crate::text::Label;

fn order(number: u8) -> OrderId {
    OrderId::created_by(CommandId::of_key("test", &number.to_string()))
}

fn quantity(units: i64) -> Quantity {
    Quantity::new(units).expect("valid")
}

fn received(units: i64) -> StockEvent {
    StockEvent::Received(StockReceived {
        quantity: quantity(units),
    })
}

fn reserved(number: u8, units: i64) -> StockEvent {
    StockEvent::Reserved(StockReserved {
        order: order(number),
        quantity: quantity(units),
    })
}

fn released(number: u8, units: i64) -> StockEvent {
    StockEvent::Released(ReservationReleased {
        order: order(number),
        quantity: quantity(units),
    })
}

fn reserve(number: u8, units: i64) -> StockCommand {
    StockCommand::Reserve {
        order: order(number),
        quantity: quantity(units),
    }
}

fn adjust(delta: i64) -> StockCommand {
    StockCommand::Adjust {
        delta,
        reason: Label::new("count").expect("valid"),
    }
}

#[test]
fn what_was_never_received_cannot_be_reserved() {
    given::<StockItem>([])
        .when(&reserve(1, 1))
        .then_refused(&StockRefusal::InsufficientStock { available: 0 });
}

#[test]
fn the_last_unit_is_reserved_once() {
    given::<StockItem>([received(1)])
        .when(&reserve(1, 1))
        .then(&reserved(1, 1));
    given::<StockItem>([received(1), reserved(1, 1)])
        .when(&reserve(2, 1))
        .then_refused(&StockRefusal::InsufficientStock { available: 0 });
}

#[test]
fn an_order_is_reserved_at_most_once() {
    let history = [received(9), reserved(1, 2)];
    let refusal = StockRefusal::AlreadyReserved {
        quantity: quantity(2),
    };
    given::<StockItem>(history)
        .when(&reserve(1, 2))
        .then_refused(&refusal);
}

#[test]
fn a_released_order_cannot_reserve_again() {
    let history = [received(9), reserved(1, 2), released(1, 2)];
    given::<StockItem>(history)
        .when(&reserve(1, 2))
        .then_refused(&StockRefusal::ReservationClosed);
}

#[test]
fn a_confirmed_reservation_stays_taken_and_can_be_released() {
    let confirmed = StockEvent::Confirmed(ReservationConfirmed {
        order: order(1),
        quantity: quantity(2),
    });
    let confirm = StockCommand::Confirm { order: order(1) };
    given::<StockItem>([received(2), reserved(1, 2)])
        .when(&confirm)
        .then(&confirmed);
    let history = [received(2), reserved(1, 2), confirmed];
    given::<StockItem>(history.clone())
        .when(&confirm)
        .then_refused(&StockRefusal::AlreadyConfirmed);
    assert_eq!(given::<StockItem>(history.clone()).state().available(), 0);
    given::<StockItem>(history)
        .when(&StockCommand::Release { order: order(1) })
        .then(&released(1, 2));
}

#[test]
fn only_a_reservation_is_confirmed_or_released() {
    for command in [
        StockCommand::Confirm { order: order(1) },
        StockCommand::Release { order: order(1) },
    ] {
        given::<StockItem>([received(1)])
            .when(&command)
            .then_refused(&StockRefusal::NoReservation);
    }
}

#[test]
fn an_adjustment_leaves_what_is_reserved() {
    let refusal = StockRefusal::StockOutOfBounds { reserved: 3 };
    for delta in [-3, i64::MIN, i64::MAX] {
        given::<StockItem>([received(5), reserved(1, 3)])
            .when(&adjust(delta))
            .then_refused(&refusal);
    }
    given::<StockItem>([received(5)])
        .when(&adjust(0))
        .then_refused(&StockRefusal::NothingToAdjust);
    let reason = Label::new("count").expect("valid");
    let adjusted = StockEvent::Adjusted(StockAdjusted { delta: -2, reason });
    given::<StockItem>([received(5), reserved(1, 3)])
        .when(&adjust(-2))
        .then(&adjusted);
}

fn commands() -> impl Strategy<Value = StockCommand> {
    prop_oneof![
        (1..20_i64).prop_map(|units| StockCommand::Receive {
            quantity: quantity(units)
        }),
        (-20..20_i64).prop_map(adjust),
        (0..6_u8, 1..20_i64).prop_map(|(number, units)| reserve(number, units)),
        (0..6_u8).prop_map(|number| StockCommand::Confirm { order: order(number) }),
        (0..6_u8).prop_map(|number| StockCommand::Release { order: order(number) }),
    ]
}

proptest! {
    /// Whatever is asked: never oversold, and `reserved` is the sum of the reservations.
    #[test]
    fn nothing_is_oversold(commands in proptest::collection::vec(commands(), 0..80)) {
        let mut state = StockState::default();
        let mut held = std::collections::BTreeMap::new();
        for command in commands {
            if let Ok(event) = StockItem::decide(&state, &command) {
                StockItem::evolve(&mut state, &event);
                match event {
                    StockEvent::Reserved(reserved) => {
                        prop_assert!(held.insert(reserved.order, reserved.quantity.units()).is_none());
                    }
                    StockEvent::Released(released) => {
                        prop_assert_eq!(held.remove(&released.order), Some(released.quantity.units()));
                    }
                    StockEvent::Received(_) | StockEvent::Adjusted(_) | StockEvent::Confirmed(_) => {}
                }
            }
            prop_assert!(state.available() >= 0);
            prop_assert_eq!(state.reserved(), held.values().map(|units| i64::from(*units)).sum::<i64>());
        }
    }
}
