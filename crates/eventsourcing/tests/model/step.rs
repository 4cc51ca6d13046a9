//! What a node does when something happens to it.

use super::protocol::{Entry, Folded, Held, Phase, SEAL, SmallTerm, Without, World, Written, allows};

/// One aggregate in one partition, under some nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) nodes: usize,
    pub(crate) commands: u8,
    /// How often clients send a command, repeats among them.
    pub(crate) requests: u8,
    /// How many owner ids are drawn at most: what bounds the search.
    pub(crate) terms: u8,
    /// Whether somebody seals the partition, at any time.
    pub(crate) seals: bool,
    pub(crate) without: Without,
}

impl Protocol {
    /// Reads to the end and sends a fence.
    pub(crate) fn acquire(&self, world: &mut World, node: usize) {
        world.nodes[node].next = world.end();
        let (epoch, _) = world.known(node, self.without).term;
        if epoch == SEAL.0 {
            return;
        }
        let term = world.fence(node, epoch + 1);
        world.nodes[node].phase = Phase::Fencing {
            term,
            old: (0, 0),
            doubt: Vec::new(),
        };
    }

    /// What the node waited for has landed, all of it, at these offsets.
    pub(crate) fn acknowledged(&self, world: &mut World, node: usize, landed: &[u8]) {
        let Some(last) = landed.last() else { return };
        let next = world.nodes[node].next;
        let contiguous = landed.iter().copied().eq(next..=*last);
        world.nodes[node].next = next.max(last + 1);
        match world.nodes[node].phase.clone() {
            Phase::Idle => {}
            Phase::Fencing { .. } => self.settle(world, node),
            Phase::Serving { term, flight } => {
                let trusted = contiguous || self.without == Without::Contiguity;
                let known = world.known(node, self.without);
                if trusted || known.term == term {
                    self.commit(world, &flight, next, landed);
                    world.nodes[node].phase = serving(term);
                } else {
                    void(world, &known, &flight);
                    world.nodes[node].phase = Phase::Idle;
                }
            }
        }
    }

    /// The batch counts: its events at their offsets, its refusals as decided.
    fn commit(&self, world: &mut World, flight: &[Held], from: u8, landed: &[u8]) {
        let to = landed.last().map_or(from, |last| last + 1);
        let mut offsets = landed.iter();
        for held in flight {
            if held.refused {
                world.refuse(held.command, from, to, self.without);
            } else if let Some(offset) = offsets.next() {
                world.acknowledge(held.command, *offset);
            }
        }
    }

    /// No acknowledgement in time. A batch is in doubt: never guess, fence again. A fence in doubt is
    /// looked for, and sent again when it is not there: at most one of them can be valid.
    pub(crate) fn timed_out(&self, world: &mut World, node: usize) {
        world.give_up(node);
        match world.nodes[node].phase.clone() {
            Phase::Idle => {}
            Phase::Fencing { term, .. } => {
                world.nodes[node].next = world.end();
                if world.known(node, self.without).term.0 < term.0 {
                    let entry = Entry::Fence;
                    world.send(node, vec![Written { term, entry }]);
                } else {
                    self.settle(world, node);
                }
            }
            Phase::Serving { term, flight } if self.without == Without::Barrier => {
                world.nodes[node].next = world.end();
                void(world, &world.known(node, self.without), &flight);
                world.nodes[node].phase = serving(term);
            }
            Phase::Serving {
                term: old,
                flight: doubt,
            } => {
                let term = world.fence(node, old.0 + 1);
                world.nodes[node].phase = Phase::Fencing { term, old, doubt };
            }
        }
    }

    /// The epoch of our fence is open: it ends the term of what was in doubt, whoever opened it.
    fn settle(&self, world: &mut World, node: usize) {
        let Phase::Fencing { term, doubt, .. } = world.nodes[node].phase.clone() else {
            return;
        };
        let known = world.known(node, self.without);
        if known.term.0 < term.0 {
            return;
        }
        void(world, &known, &doubt);
        let ours = known.term == term || self.without == Without::OneOwnerPerEpoch;
        world.nodes[node].phase = if ours { serving(term) } else { Phase::Idle };
    }

    /// Decides these commands on the speculative state and sends what they make.
    pub(crate) fn serve(&self, world: &mut World, node: usize, term: SmallTerm, commands: &[u8]) {
        let known = world.known(node, self.without);
        let (mut events, mut flight) = (Vec::new(), Vec::new());
        for command in commands {
            world.requests += 1;
            world.fates[usize::from(*command)].open += 1;
            if let Some(offset) = self.remembered(world, &known, term, *command) {
                world.acknowledge(*command, offset);
                continue;
            }
            let count = known.accepted.len() + events.len();
            let refused = !allows(count, *command);
            if !refused {
                let sequence = u8::try_from(count + 1).expect("a bounded log");
                let entry = Entry::Event {
                    command: *command,
                    sequence,
                };
                events.push(Written { term, entry });
            }
            flight.push(Held {
                command: *command,
                refused,
            });
        }
        if events.is_empty() {
            self.refuse_all(world, node, term, &flight);
        } else {
            world.send(node, events);
            world.nodes[node].phase = Phase::Serving { term, flight };
        }
    }

    fn remembered(&self, world: &World, known: &Folded, term: SmallTerm, command: u8) -> Option<u8> {
        let offset = known.find(command)?;
        let own = world.log[usize::from(offset)].term == term;
        (own || self.without != Without::Memory).then_some(offset)
    }

    /// A batch of refusals asks whether its state is still the newest.
    fn refuse_all(&self, world: &mut World, node: usize, term: SmallTerm, flight: &[Held]) {
        if self.without != Without::FreshRefusals {
            world.nodes[node].next = world.end();
            let known = world.known(node, self.without);
            if known.term != term {
                void(world, &known, flight);
                world.nodes[node].phase = Phase::Idle;
                return;
            }
        }
        for held in flight {
            world.refuse(held.command, world.end(), world.end(), self.without);
        }
    }
}

const fn serving(term: SmallTerm) -> Phase {
    Phase::Serving {
        term,
        flight: Vec::new(),
    }
}

/// What the log holds of the batch counts; the rest never will.
fn void(world: &mut World, known: &Folded, batch: &[Held]) {
    for held in batch {
        match known.find(held.command).filter(|_| !held.refused) {
            Some(offset) => world.acknowledge(held.command, offset),
            None => world.not_attempted(held.command),
        }
    }
}
