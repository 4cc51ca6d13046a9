//! Fence, append, land, acknowledge, take over: the protocol of the owner in its smallest form, one step
//! per thing that can happen between two others. R is not modelled, it is called.

use eventsourcing::ids::{Epoch, OwnerId};
use eventsourcing::rule::{Claim, Rule, Term, Verdict};
use uuid::Uuid;

/// A part of the protocol that is left out, to see it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    Nothing,
    /// Readers take every event, whoever wrote it.
    Fencing,
    /// Acknowledged offsets are not looked at.
    Contiguity,
    /// An epoch may have two owners: readers look at the number alone.
    OneOwnerPerEpoch,
    /// A time-out is resolved by reading, without a fence that ends the term.
    Barrier,
    /// A refusal does not ask whether its state is still the newest.
    FreshRefusals,
    /// A new owner forgets which commands were accepted before it.
    Memory,
}

/// Small numbers, so that states are small: (epoch, owner).
pub(crate) type SmallTerm = (u8, u8);

/// Stands for [`Epoch::LAST`]; no owner is called so.
pub(crate) const SEAL: SmallTerm = (u8::MAX, u8::MAX);

fn epoch(small: u8) -> Epoch {
    if small == SEAL.0 {
        Epoch::LAST
    } else {
        Epoch(u64::from(small))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entry {
    Fence,
    Event { command: u8, sequence: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Written {
    pub(crate) term: SmallTerm,
    pub(crate) entry: Entry,
}

/// On its way to the log; it lands record by record, or late, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Append {
    /// The node that waits for the acknowledgement; `None` when it gave up or died.
    pub(crate) waits: Option<u8>,
    pub(crate) rest: Vec<Written>,
    pub(crate) landed: Vec<u8>,
}

/// A command in a batch, and whether its answer is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) command: u8,
    pub(crate) refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// A fence of ours is on its way; `doubt` is the batch whose outcome it settles, written in `old`.
    Fencing {
        term: SmallTerm,
        old: SmallTerm,
        doubt: Vec<Held>,
    },
    Serving {
        term: SmallTerm,
        flight: Vec<Held>,
    },
}

/// All a node knows is how far it has read: the rest is a fold of the log up to there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) next: u8,
    pub(crate) phase: Phase,
}

/// What the client knows of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Fate {
    /// Attempts without an answer, or with the answer "unknown".
    pub(crate) open: u8,
    /// Acknowledged at this offset.
    pub(crate) acknowledged: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) log: Vec<Written>,
    pub(crate) wire: Vec<Append>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) fates: Vec<Fate>,
    /// Owner ids given out.
    pub(crate) drawn: u8,
    /// Requests sent by clients.
    pub(crate) requests: u8,
    /// Somebody was refused though nothing ever stood in the way.
    pub(crate) lied: bool,
    /// The seal is on its way.
    pub(crate) sealed: bool,
}

/// The whole domain: take (even commands) and give (odd ones) one thing in turn. So there are refusals that
/// were true a moment ago, and a command that is accepted twice does harm.
pub(crate) const fn allows(accepted: usize, command: u8) -> bool {
    accepted % 2 == command as usize % 2
}

/// The fold of a prefix of the log.
pub(crate) struct Folded {
    pub(crate) term: SmallTerm,
    /// (offset, command, sequence) of what was accepted.
    pub(crate) accepted: Vec<(u8, u8, u8)>,
}

/// R over a prefix.
pub(crate) fn fold(log: &[Written], without: Without) -> Folded {
    let mut rule = Rule::default();
    let mut folded = Folded {
        term: (0, 0),
        accepted: Vec::new(),
    };
    for (offset, written) in (0..).zip(log) {
        let owner = if without == Without::OneOwnerPerEpoch {
            0
        } else {
            written.term.1
        };
        let term = Term {
            epoch: epoch(written.term.0),
            owner: OwnerId(Uuid::from_u128(u128::from(owner))),
        };
        match written.entry {
            Entry::Fence => {
                if rule.judge(Claim::Fence(term)) == Verdict::Opened {
                    folded.term = written.term;
                }
            }
            Entry::Event { command, sequence } => {
                let accepted = rule.judge(Claim::Event(term)) == Verdict::Accepted;
                if accepted || without == Without::Fencing {
                    folded.accepted.push((offset, command, sequence));
                }
            }
        }
    }
    folded
}

impl Folded {
    pub(crate) fn find(&self, command: u8) -> Option<u8> {
        let found = self.accepted.iter().find(|(_, known, _)| *known == command);
        found.map(|(offset, _, _)| *offset)
    }
}

impl World {
    pub(crate) fn new(nodes: usize, commands: usize) -> Self {
        let idle = Node {
            next: 0,
            phase: Phase::Idle,
        };
        Self {
            log: Vec::new(),
            wire: Vec::new(),
            nodes: vec![idle; nodes],
            fates: vec![Fate::default(); commands],
            drawn: 0,
            requests: 0,
            lied: false,
            sealed: false,
        }
    }

    pub(crate) fn end(&self) -> u8 {
        u8::try_from(self.log.len()).expect("a bounded log")
    }

    /// What the node knows.
    pub(crate) fn known(&self, node: usize, without: Without) -> Folded {
        fold(&self.log[..usize::from(self.nodes[node].next)], without)
    }

    pub(crate) fn wire_order(&mut self) {
        // What has landed and is waited for by nobody can do nothing any more.
        self.wire
            .retain(|append| append.waits.is_some() || !append.rest.is_empty());
        self.wire.sort();
    }

    /// The node no longer waits: whatever it sent may still land.
    pub(crate) fn give_up(&mut self, node: usize) {
        for append in &mut self.wire {
            if append.waits.map(usize::from) == Some(node) {
                append.waits = None;
            }
        }
    }

    pub(crate) fn send(&mut self, node: usize, rest: Vec<Written>) {
        self.wire.push(Append {
            waits: Some(u8::try_from(node).expect("a few nodes")),
            rest,
            landed: Vec::new(),
        });
    }

    /// Sends the last fence there can be; nobody waits for it.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.wire.push(Append {
            waits: None,
            rest: vec![Written {
                term: SEAL,
                entry: Entry::Fence,
            }],
            landed: Vec::new(),
        });
    }

    /// Draws an owner id and sends the fence of the next epoch.
    pub(crate) fn fence(&mut self, node: usize, epoch: u8) -> SmallTerm {
        self.drawn += 1;
        let term = (epoch, self.drawn);
        let entry = Entry::Fence;
        self.send(node, vec![Written { term, entry }]);
        term
    }

    /// The answer "yes, there".
    pub(crate) fn acknowledge(&mut self, command: u8, offset: u8) {
        let fate = &mut self.fates[usize::from(command)];
        fate.open -= 1;
        fate.acknowledged = Some(offset);
    }

    /// The answer "nothing was written".
    pub(crate) fn not_attempted(&mut self, command: u8) {
        self.fates[usize::from(command)].open -= 1;
    }

    /// The answer "not now". It must be true after some prefix of the log that ends in these bounds: what
    /// was there when it was asked, and when it was answered.
    pub(crate) fn refuse(&mut self, command: u8, from: u8, to: u8, without: Without) {
        self.not_attempted(command);
        let refused_after = |end: u8| {
            let accepted = fold(&self.log[..usize::from(end)], without).accepted;
            !allows(accepted.len(), command)
        };
        self.lied |= !(from..=to).any(refused_after);
    }
}
