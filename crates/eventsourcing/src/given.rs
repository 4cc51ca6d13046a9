//! Given / when / then: rules tested in the words of the domain.
//!
//! ```ignore
//! given::<Order>([placed()]).when(&Command::Cancel).then(Event::Cancelled);
//! ```

use std::fmt::Debug;

use crate::aggregate::Aggregate;

/// The state after these events.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::State::default();
    events.into_iter().for_each(|event| A::evolve(&mut state, &event));
    Given { state }
}

/// A history, waiting for a command.
pub struct Given<A: Aggregate> {
    state: A::State,
}

impl<A: Aggregate> Given<A> {
    /// Decides `command` on this history.
    #[must_use]
    pub fn when(self, command: &A::Command) -> When<A> {
        When {
            outcome: A::decide(&self.state, command),
        }
    }

    /// The folded state itself.
    pub fn state(&self) -> &A::State {
        &self.state
    }
}

/// A decision, waiting for the expectation.
pub struct When<A: Aggregate> {
    outcome: Result<A::Event, A::Refusal>,
}

impl<A: Aggregate> When<A>
where
    A::Event: Debug + PartialEq,
    A::Refusal: PartialEq,
{
    /// The command makes this event.
    #[track_caller]
    pub fn then(self, event: &A::Event) {
        assert_eq!(self.outcome.as_ref(), Ok(event));
    }

    /// The command is refused like this.
    #[track_caller]
    pub fn then_refused(self, refusal: &A::Refusal) {
        assert_eq!(self.outcome.as_ref(), Err(refusal));
    }
}
