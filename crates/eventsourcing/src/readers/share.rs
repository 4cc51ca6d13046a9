//! The partitions of one topic that the readers of this node work on at the moment.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::assignment::{Assignment, AssignmentChange};
use crate::topic::Topic;

/// What to work on before the assignment has said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presumption {
    /// Everything: a group takes a second or two to say that nobody else is there, and a whole time-out
    /// after a crash. The first sign of somebody else ends it.
    Everything,
    /// Nothing: the assignment answers at once where there is work for this node.
    Nothing,
}

/// A view of the share. Each clone is one reader's; the assignment is let go with the last of them.
#[derive(Clone)]
pub struct Share {
    told: Arc<Told>,
    /// The word that [`Share::now`] has seen.
    seen: u64,
    presumption: Presumption,
    _follower: Arc<Follower>,
}

/// What the assignment has said. Not a `watch`: that wakes several waiters in an order of its own, and a
/// simulation is to run the same way each time.
#[derive(Default)]
struct Told {
    word: Mutex<Word>,
    changed: Notify,
}

#[derive(Default)]
struct Word {
    number: u64,
    partitions: Option<BTreeSet<u32>>,
}

impl Told {
    fn word(&self) -> MutexGuard<'_, Word> {
        self.word.lock().expect("no holder of this lock panics")
    }

    /// Notes a change of the word; `change` says whether it is one.
    fn modify(&self, change: impl FnOnce(&mut Option<BTreeSet<u32>>) -> bool) {
        let mut word = self.word();
        if change(&mut word.partitions) {
            word.number += 1;
            self.changed.notify_waiters();
        }
    }
}

/// The task that listens to the assignment.
struct Follower(AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Share {
    /// What `assignment` says of `topic` from now on. Needs a tokio runtime.
    #[must_use]
    pub fn follow(topic: Topic, mut assignment: Box<dyn Assignment>, presumption: Presumption) -> Self {
        let told = Arc::new(Told::default());
        let teller = Arc::clone(&told);
        let follower = tokio::spawn(async move {
            while let Some(change) = assignment.next().await {
                teller.modify(|partitions| take_in(partitions, &topic, &change));
            }
            teller.modify(|partitions| partitions.replace(BTreeSet::new()) != *partitions);
        });
        Self {
            told,
            seen: 0,
            presumption,
            _follower: Arc::new(Follower(follower.abort_handle())),
        }
    }

    /// What to work on now, of a topic with `total` partitions.
    pub fn now(&mut self, total: u32) -> BTreeSet<u32> {
        let word = self.told.word();
        self.seen = word.number;
        match (&word.partitions, self.presumption) {
            (Some(told), _) => told.range(..total).copied().collect(),
            (None, Presumption::Everything) => (0..total).collect(),
            (None, Presumption::Nothing) => BTreeSet::new(),
        }
    }

    /// Waits for a change since [`Share::now`]. Cancel-safe.
    pub async fn changed(&self) {
        loop {
            // Listening before looking: a word in between is noticed.
            let mut changed = pin!(self.told.changed.notified());
            changed.as_mut().enable();
            if self.told.word().number != self.seen {
                return;
            }
            changed.await;
        }
    }

    /// Somebody else is at work: from now on only what the assignment says.
    pub const fn give_way(&mut self) {
        self.presumption = Presumption::Nothing;
    }
}

/// Whether something has changed.
fn take_in(told: &mut Option<BTreeSet<u32>>, topic: &Topic, change: &AssignmentChange) -> bool {
    let (at, ours) = match change {
        AssignmentChange::Assigned(at) => (at, true),
        // A reader of a lost partition may still finish its batch: the compare-and-set refuses it.
        AssignmentChange::Revoked(at) | AssignmentChange::Lost(at) => (at, false),
    };
    if at.topic != *topic {
        return false;
    }
    let first = told.is_none();
    let partitions = told.get_or_insert_default();
    let changed = if ours {
        partitions.insert(at.partition)
    } else {
        partitions.remove(&at.partition)
    };
    first || changed
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_presumed_ends_with_the_first_word_or_the_first_rival() {
        let topic = Topic::events("test", "accounts");
        let (tell, assignment) = mpsc::unbounded_channel();
        let mut share = Share::follow(topic.clone(), Box::new(assignment), Presumption::Everything);
        let mut rival = share.clone();
        assert_eq!(share.now(3), BTreeSet::from([0, 1, 2]));
        rival.give_way();
        assert_eq!(rival.now(3), BTreeSet::new());

        let other = Topic::events("test", "orders").partition(0);
        for change in [
            AssignmentChange::Assigned(other),
            AssignmentChange::Assigned(topic.partition(1)),
        ] {
            tell.send(change).expect("listens");
        }
        share.changed().await;
        rival.changed().await;
        assert_eq!(
            (share.now(3), rival.now(3)),
            (BTreeSet::from([1]), BTreeSet::from([1]))
        );

        tell.send(AssignmentChange::Lost(topic.partition(1)))
            .expect("listens");
        share.changed().await;
        assert_eq!(share.now(3), BTreeSet::new());
    }
}
