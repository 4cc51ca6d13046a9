//! Who is told to work on what. The one who tells is not careful: two may be told the same, one may be told
//! too late that something is another's.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eventsourcing::assignment::AssignmentChange;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::topic::Topic;
use tokio::sync::{Notify, mpsc};

/// One node's membership, and whether it is frozen.
pub(crate) struct Node {
    tell: mpsc::UnboundedSender<AssignmentChange>,
    gate: Gate,
    topic: Topic,
}

impl Node {
    /// A node that has not been told anything.
    pub(crate) fn start(topic: &Topic) -> (Self, Share) {
        let (tell, told) = mpsc::unbounded_channel();
        let node = Self {
            tell,
            gate: Gate::default(),
            topic: topic.clone(),
        };
        let share = Share::follow(topic.clone(), Box::new(told), Presumption::Everything);
        (node, share)
    }

    pub(crate) fn assign(&self, partition: u32) {
        self.tell(AssignmentChange::Assigned(self.topic.partition(partition)));
    }

    pub(crate) fn revoke(&self, partition: u32) {
        self.tell(AssignmentChange::Revoked(self.topic.partition(partition)));
    }

    fn tell(&self, change: AssignmentChange) {
        // A node that has died listens no more.
        let _ = self.tell.send(change);
    }

    /// What it is about to do it does when it wakes up.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.gate.0.frozen.store(frozen, Ordering::Relaxed);
        self.gate.0.woken.notify_waiters();
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate.clone()
    }
}

/// Where a frozen node stands still.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Frozen>);

#[derive(Default)]
struct Frozen {
    frozen: AtomicBool,
    woken: Notify,
}

impl Gate {
    /// Waits while the node is frozen; whether it was.
    pub(crate) async fn pass(&self) -> bool {
        let mut was = false;
        loop {
            let mut woken = pin!(self.0.woken.notified());
            woken.as_mut().enable();
            if !self.0.frozen.load(Ordering::Relaxed) {
                return was;
            }
            was = true;
            woken.await;
        }
    }
}

/// Shares everything out among the nodes, nothing twice.
pub(crate) fn share_out(nodes: &BTreeMap<usize, &Node>, partitions: u32) {
    let members: Vec<&&Node> = nodes.values().collect();
    for partition in 0..partitions {
        let owner = partition as usize % members.len();
        for (index, node) in members.iter().enumerate() {
            if index == owner {
                node.assign(partition);
            } else {
                node.revoke(partition);
            }
        }
    }
}
