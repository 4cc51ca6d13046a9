//! A checker that cannot fail proves nothing: each check on a history made by hand that breaks it.

mod broken {
    pub(crate) mod made;
}

use std::collections::BTreeMap;
use std::time::Duration;

use broken::made::{Made, Total, Totals, accepted, account, command, question, replayed, row};
use checker::{Breach, CheckpointMove, Commands, Invariant, Outcome, Read, check_tally, check_view};
use eventsourcing::command::Expected;
use eventsourcing::contract::account::Command;
use eventsourcing::ids::{Digest, Offset, Sequence};

#[track_caller]
fn breaks(made: &Made, invariant: Invariant, matches: fn(&Breach) -> bool) {
    let breaches = made.check(Commands::All).breaches;
    assert!(breaches.iter().any(matches), "{breaches:?}");
    assert!(
        breaches.iter().all(|breach| breach.invariant() == invariant),
        "{breaches:?}"
    );
    assert!(
        breaches[0].to_string().starts_with(&format!("{invariant:?}: ")),
        "{}",
        breaches[0]
    );
}

/// One fence, one deposit, asked and answered.
fn sound() -> Made {
    let mut made = Made::new();
    made.fence(1, 1);
    made.event("a", "1", 1, 5, 5);
    made.asked("a", "1", Command::Deposit(5), (1, 2), accepted(1, 1));
    made
}

#[test]
fn a_sound_history_passes_and_is_counted() {
    let mut made = sound();
    made.asked("a", "1", Command::Deposit(5), (2, 2), replayed(1, 1));
    made.asked("a", "2", Command::Withdraw(6), (2, 2), Outcome::Refused);
    made.asked("a", "3", Command::Deposit(1), (2, 2), Outcome::NotAttempted(None));
    made.fence(2, 2);
    made.fence(2, 3);
    made.void("a", "4", 2, 1);
    made.asked("a", "4", Command::Deposit(7), (2, 3), Outcome::Unknown);
    let report = made.check(Commands::All).verdict().expect("nothing is wrong");
    assert_eq!((report.accepted, report.replayed, report.refused), (2, 1, 1));
    assert_eq!(
        (report.not_attempted, report.unknown, report.unknown_written),
        (1, 1, 0)
    );
    assert_eq!((report.events, report.void), (1, 1));
    assert_eq!((report.fences, report.terms), (3, 2));
}

#[test]
fn an_acknowledged_command_that_is_not_there() {
    let mut made = sound();
    made.asked("a", "2", Command::Deposit(1), (2, 3), accepted(2, 2));
    breaks(&made, Invariant::I1, |breach| {
        matches!(breach, Breach::AcknowledgedAbsent { .. })
    });
}

#[test]
fn an_acknowledged_command_that_is_void() {
    let mut made = sound();
    made.fence(2, 2);
    made.void("a", "2", 2, 1);
    made.asked("a", "2", Command::Deposit(1), (2, 4), accepted(3, 2));
    breaks(&made, Invariant::I1, |breach| {
        matches!(breach, Breach::AcknowledgedAbsent { .. })
    });
}

#[test]
fn an_acknowledgement_of_another_place() {
    let mut made = sound();
    made.asked("a", "1", Command::Deposit(5), (2, 2), replayed(0, 1));
    breaks(&made, Invariant::I1, |breach| {
        matches!(breach, Breach::AcknowledgedElsewhere { .. })
    });
}

#[test]
fn an_acknowledgement_before_the_record() {
    let mut made = Made::new();
    made.fence(1, 1);
    made.event("a", "1", 1, 5, 5);
    made.asked("a", "1", Command::Deposit(5), (1, 1), accepted(1, 1));
    breaks(&made, Invariant::I1, |breach| {
        matches!(breach, Breach::AcknowledgedEarly { .. })
    });
}

#[tokio::test(start_paused = true)]
async fn a_later_command_before_an_acknowledged_one() {
    let mut made = Made::new();
    made.fence(1, 1);
    made.event("a", "2", 1, 5, 5);
    made.event("a", "1", 2, 5, 10);
    made.asked_without_window("a", "1", Command::Deposit(5), accepted(2, 2));
    tokio::time::sleep(Duration::from_millis(1)).await;
    made.asked_without_window("a", "2", Command::Deposit(5), accepted(1, 1));
    breaks(&made, Invariant::I1, |breach| {
        matches!(breach, Breach::OutOfOrder { later: Offset(2), .. })
    });
}

#[test]
fn who_asked_once_may_be_told_that_it_was_a_repeat() {
    let mut made = sound();
    made.event("a", "2", 2, 1, 6);
    made.asked("a", "2", Command::Deposit(1), (2, 3), replayed(2, 2));
    assert!(
        made.check(Commands::All).breaches.is_empty(),
        "the node sent it twice"
    );
}

#[test]
fn a_definite_failure_that_is_in_the_log() {
    let mut made = sound();
    made.event("a", "2", 2, 1, 6);
    made.asked("a", "2", Command::Deposit(1), (2, 3), Outcome::NotAttempted(None));
    // The repeat was answered well, and yet the first answer was a lie.
    made.asked("a", "2", Command::Deposit(1), (3, 3), replayed(2, 2));
    breaks(&made, Invariant::I2, |breach| {
        matches!(breach, Breach::RefusedPresent { .. })
    });
}

#[test]
fn a_refusal_that_was_never_true() {
    let mut made = sound();
    made.asked("a", "2", Command::Withdraw(5), (2, 2), Outcome::Refused);
    breaks(&made, Invariant::I2, |breach| {
        matches!(breach, Breach::RefusedFalsely { .. })
    });
    let mut made = sound();
    made.asked("a", "2", Command::Withdraw(5), (1, 2), Outcome::Refused);
    let begun_before = made.check(Commands::All).verdict();
    assert!(begun_before.is_ok(), "it was true before the deposit");
}

#[test]
fn a_conflict_that_was_none() {
    let mut made = sound();
    let conflict = Outcome::Conflict(Some(Sequence(2)));
    made.asked_expecting(
        "a",
        "2",
        Command::Deposit(5),
        Expected::Exactly(Sequence(1)),
        conflict,
    );
    breaks(&made, Invariant::I2, |breach| {
        matches!(breach, Breach::RefusedFalsely { .. })
    });
}

#[test]
fn a_command_with_two_events() {
    let mut made = sound();
    made.event("a", "1", 2, 5, 10);
    breaks(&made, Invariant::I3, |breach| {
        matches!(breach, Breach::Doubled { .. })
    });
}

#[test]
fn a_command_accepted_twice_as_new() {
    let mut made = sound();
    made.asked("a", "1", Command::Deposit(5), (1, 2), accepted(1, 1));
    breaks(&made, Invariant::I3, |breach| {
        matches!(breach, Breach::FreshTwice { .. })
    });
}

#[test]
fn a_repeat_that_was_refused() {
    let mut made = Made::new();
    made.fence(1, 1);
    made.event("a", "1", 1, 5, 5);
    made.event("a", "2", 2, -5, 0);
    made.asked("a", "1", Command::Deposit(5), (1, 2), accepted(1, 1));
    made.asked("a", "2", Command::Withdraw(5), (2, 3), accepted(2, 2));
    made.asked("a", "2", Command::Withdraw(5), (3, 3), Outcome::Refused);
    breaks(&made, Invariant::I3, |breach| {
        matches!(breach, Breach::RepeatRefused { .. })
    });
}

#[test]
fn another_request_under_a_known_key_that_got_its_outcome() {
    let mut made = sound();
    made.asked_under("a", "1", Command::Deposit(6), Digest(0), replayed(1, 1));
    breaks(&made, Invariant::I3, |breach| {
        matches!(breach, Breach::AnsweredForAnother { .. })
    });
    let mut made = sound();
    made.asked_under("a", "1", Command::Deposit(6), Digest(0), Outcome::KeyReused);
    assert!(made.check(Commands::All).breaches.is_empty(), "so it should be");
}

#[test]
fn a_key_said_to_be_reused_that_was_not() {
    let mut made = sound();
    made.asked("a", "1", Command::Deposit(5), (2, 2), Outcome::KeyReused);
    breaks(&made, Invariant::I3, |breach| {
        matches!(breach, Breach::KeyNotReused { .. })
    });
}

#[test]
fn a_gap_in_the_sequences() {
    let mut made = sound();
    made.event("a", "2", 3, 1, 6);
    made.asked("a", "2", Command::Deposit(1), (2, 3), accepted(2, 3));
    breaks(&made, Invariant::I4, |breach| {
        matches!(
            breach,
            Breach::Gap {
                last: Sequence(1),
                found: Sequence(3),
                ..
            }
        )
    });
}

#[test]
fn an_event_that_its_prefix_does_not_decide() {
    let mut made = sound();
    made.event("a", "2", 2, 1, 1);
    made.asked("a", "2", Command::Deposit(1), (2, 3), accepted(2, 2));
    breaks(&made, Invariant::I4, |breach| {
        matches!(breach, Breach::WronglyDecided { .. })
    });
}

#[test]
fn an_event_on_another_sequence_than_named() {
    let mut made = sound();
    made.event("a", "2", 2, 1, 6);
    let named = Expected::Exactly(Sequence(0));
    made.asked_expecting("a", "2", Command::Deposit(1), named, accepted(2, 2));
    breaks(&made, Invariant::I4, |breach| {
        matches!(breach, Breach::WronglyDecided { .. })
    });
}

#[test]
fn an_event_that_nobody_asked_for() {
    let mut made = sound();
    made.event("a", "2", 2, 1, 6);
    assert!(made.check(Commands::Some).breaches.is_empty());
    breaks(&made, Invariant::I4, |breach| {
        matches!(breach, Breach::Unasked { .. })
    });
}

#[test]
fn a_record_that_nobody_can_read() {
    let mut made = sound();
    made.junk();
    breaks(&made, Invariant::I4, |breach| {
        matches!(breach, Breach::Unreadable { .. })
    });
}

#[test]
fn a_checkpoint_that_went_back_or_beyond() {
    for (moves, matches) in [
        (
            [2, 1],
            (|breach| matches!(breach, Breach::CheckpointWentBack { .. })) as fn(&Breach) -> bool,
        ),
        ([2, 3], |breach| {
            matches!(breach, Breach::CheckpointBeyondEnd { .. })
        }),
    ] {
        let made = sound();
        for next in moves {
            made.recorder.checkpoint(CheckpointMove {
                reader: "rows".into(),
                at: Made::at(),
                next: Offset(next),
            });
        }
        breaks(&made, Invariant::I7, matches);
    }
}

#[test]
fn a_read_older_than_asked() {
    let too_old: fn(&Breach) -> bool = |breach| matches!(breach, Breach::ReadTooOld { .. });
    let misses: fn(&Breach) -> bool = |breach| matches!(breach, Breach::ReadMisses { .. });
    for (shown, sequence, matches) in [(None, 0, too_old), (Some(1), 0, misses)] {
        let made = sound();
        made.recorder.read(Read {
            by: "somebody".into(),
            at: Made::at(),
            aggregate: account("a"),
            asked: Some(Offset(1)),
            shown: shown.map(Offset),
            sequence: Some(Sequence(sequence)),
        });
        breaks(&made, Invariant::I8, matches);
    }
}

#[test]
fn a_row_that_is_not_the_fold() {
    let made = sound();
    let until = |next| BTreeMap::from([(Made::at(), Offset(next))]);
    let rows = |balance| BTreeMap::from([(account("a"), row("a", balance))]);
    assert!(check_view::<Totals>(made.log(), &until(2), &rows(5)).is_empty());
    assert!(check_view::<Totals>(made.log(), &until(1), &BTreeMap::new()).is_empty());
    for (next, found) in [(2, rows(10)), (2, BTreeMap::new()), (1, rows(5))] {
        let breaches = check_view::<Totals>(made.log(), &until(next), &found);
        assert!(
            matches!(&breaches[..], [Breach::RowDiffers { .. }]),
            "{breaches:?}"
        );
    }
    let total = |moves| [Total { all: true, moves }];
    assert!(check_tally::<Total>(made.log(), &until(2), total(1)).is_empty());
    let twice = check_tally::<Total>(made.log(), &until(2), total(2));
    assert!(matches!(&twice[..], [Breach::RowDiffers { .. }]), "{twice:?}");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_dropped_has_an_unknown_outcome() {
    let made = sound();
    let asked = made
        .recorder
        .ask(question("a", "2", Command::Deposit(1), Expected::Any), None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(asked);
    let history = made.recorder.take();
    let attempt = history.attempts.last().expect("it was recorded");
    assert_eq!(attempt.outcome, Outcome::Unknown);
    assert_eq!(attempt.answered.elapsed, Duration::from_secs(3));
    assert_eq!(attempt.question.command, command("2"));
}
