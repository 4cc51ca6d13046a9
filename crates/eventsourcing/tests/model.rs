//! The protocol, exhaustively: every order in which nodes acquire, append, pause, give up and die, and
//! in which what they sent lands whole, in part, late or never. And each part of the protocol left out in
//! turn: the checker must find what goes wrong.
//!
//! `cargo test --release -p eventsourcing --test model -- --nocapture` prints the number of states.

#[path = "model/protocol.rs"]
mod protocol;
#[path = "model/step.rs"]
mod step;

use stateright::{Checker, Expectation, Model, Property};

use protocol::{Entry, Phase, SEAL, Without, World, allows, fold};
use step::Protocol;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// The assignment says "yours".
    Acquire { node: usize },
    /// The next record of something on the wire reaches the log.
    Land { wire: usize },
    /// The log's acknowledgement reaches the node.
    Acknowledge { node: usize, wire: usize },
    /// It does not, in time.
    TimeOut { node: usize },
    /// Clients ask for these, at once.
    Serve { node: usize, commands: Vec<u8> },
    /// The process dies and starts again.
    Crash { node: usize },
    /// Somebody sends the last fence there can be.
    Seal,
}

impl Protocol {
    /// Alone and in pairs, in either order, as far as clients still ask.
    fn batches(&self, world: &World) -> Vec<Vec<u8>> {
        let left = self.requests.saturating_sub(world.requests);
        let commands = || (0..self.commands).filter(|_| left >= 1);
        let pairs = (0..self.commands).filter(|_| left >= 2).flat_map(|one| {
            let others = commands().filter(move |other| *other != one);
            others.map(move |other| vec![one, other])
        });
        commands().map(|one| vec![one]).chain(pairs).collect()
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.nodes, usize::from(self.commands))]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let may_fence = world.drawn < self.terms;
        if self.seals && !world.sealed {
            actions.push(Action::Seal);
        }
        for (node, state) in world.nodes.iter().enumerate() {
            let waits = |append: &protocol::Append| append.waits.map(usize::from) == Some(node);
            let wire = world.wire.iter().position(waits);
            match &state.phase {
                Phase::Idle if may_fence => actions.push(Action::Acquire { node }),
                Phase::Idle => {}
                Phase::Serving { .. } if wire.is_none() => {
                    let serve = |commands| Action::Serve { node, commands };
                    actions.extend(self.batches(world).into_iter().map(serve));
                }
                Phase::Serving { .. } if may_fence || self.without == Without::Barrier => {
                    actions.push(Action::TimeOut { node });
                }
                Phase::Serving { .. } => {}
                // One copy of a fence more is all that a second one could show.
                Phase::Fencing { .. } if world.wire.len() <= self.nodes => {
                    actions.push(Action::TimeOut { node });
                }
                Phase::Fencing { .. } => {}
            }
            if let Some(wire) = wire.filter(|wire| world.wire[*wire].rest.is_empty()) {
                actions.push(Action::Acknowledge { node, wire });
            }
            if state.phase != Phase::Idle {
                actions.push(Action::Crash { node });
            }
        }
        let landing = |wire: &usize| !world.wire[*wire].rest.is_empty();
        let land = |wire| Action::Land { wire };
        actions.extend((0..world.wire.len()).filter(landing).map(land));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Acquire { node } => self.acquire(&mut world, node),
            Action::Land { wire } => {
                let offset = world.end();
                let append = &mut world.wire[wire];
                world.log.push(append.rest.remove(0));
                append.landed.push(offset);
            }
            Action::Acknowledge { node, wire } => {
                let landed = world.wire.remove(wire).landed;
                self.acknowledged(&mut world, node, &landed);
            }
            Action::TimeOut { node } => self.timed_out(&mut world, node),
            Action::Seal => world.seal(),
            Action::Serve { node, commands } => {
                if let Phase::Serving { term, .. } = world.nodes[node].phase {
                    self.serve(&mut world, node, term, &commands);
                }
            }
            Action::Crash { node } => {
                world.give_up(node);
                world.nodes[node].phase = Phase::Idle;
                // It comes back with nothing and reads from the beginning; Acquire reads to the end.
                world.nodes[node].next = 0;
            }
        }
        world.wire_order();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1 acknowledged means present", |model: &Self, world: &World| {
                let accepted = fold(&world.log, model.without).accepted;
                (0..).zip(&world.fates).all(|(command, fate)| {
                    let at = |offset| accepted.iter().any(|fact| (fact.0, fact.1) == (offset, command));
                    fate.acknowledged.is_none_or(at)
                })
            }),
            Property::always(
                "I2 refused for sure means absent",
                |model: &Self, world: &World| {
                    let folded = fold(&world.log, model.without);
                    (0..).zip(&world.fates).all(|(command, fate)| {
                        folded.find(command).is_none() || fate.open > 0 || fate.acknowledged.is_some()
                    })
                },
            ),
            Property::always("I3 one command, one event", |model: &Self, world: &World| {
                let accepted = fold(&world.log, model.without).accepted;
                let of = |command| accepted.iter().filter(|fact| fact.1 == command).count();
                (0..model.commands).all(|command| of(command) <= 1)
            }),
            Property::always(
                "I4 sequences 1..n, each event decided on its prefix",
                |model: &Self, world: &World| {
                    let accepted = fold(&world.log, model.without).accepted;
                    (0..).zip(accepted).all(|(before, (_, command, sequence))| {
                        usize::from(sequence) == before + 1 && allows(before, command)
                    })
                },
            ),
            Property::always("a refusal is true when it is given", |_, world: &World| {
                !world.lied
            }),
            Property::always("nothing counts behind the seal", |model: &Self, world: &World| {
                let seal = world.log.iter().position(|written| written.term == SEAL);
                let accepted = fold(&world.log, model.without).accepted;
                seal.is_none_or(|seal| accepted.iter().all(|(offset, ..)| usize::from(*offset) < seal))
            }),
            Property::sometimes("a zombie's event is void", |model: &Self, world: &World| {
                let accepted = fold(&world.log, model.without).accepted;
                let events = world.log.iter().filter(|written| written.entry != Entry::Fence);
                events.count() > accepted.len()
            }),
            Property::sometimes("two terms accept", |model: &Self, world: &World| {
                let accepted = fold(&world.log, model.without).accepted;
                let term = |offset: u8| world.log[usize::from(offset)].term;
                accepted.windows(2).any(|pair| term(pair[0].0) != term(pair[1].0))
            }),
        ]
    }
}

const THREADS: usize = 2;

/// Small enough for every run of the tests; `MODEL=large` searches further.
const SMALL: Protocol = Protocol {
    nodes: 2,
    commands: 2,
    requests: 2,
    terms: 2,
    seals: false,
    without: Without::Nothing,
};

fn search(protocol: Protocol) -> impl Checker<Protocol> {
    let checker = protocol.checker().threads(THREADS).spawn_bfs().join();
    println!(
        "{protocol:?}: {} states, {} different, at most {} steps",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker
}

fn holds(protocol: Protocol) {
    let checker = search(protocol);
    assert!(checker.is_done(), "the search is exhaustive");
    for property in protocol.properties() {
        let found = checker
            .discovery(property.name)
            .map(stateright::Path::into_actions);
        match property.expectation {
            // What must be reachable takes two requests to reach.
            Expectation::Sometimes if protocol.requests < 2 || protocol.terms < 2 => {}
            Expectation::Sometimes => assert!(found.is_some(), "{} never happens", property.name),
            Expectation::Always | Expectation::Eventually => {
                assert!(found.is_none(), "{} breaks: {found:?}", property.name);
            }
        }
    }
}

/// The harm that is to be expected where something is left out, by the shortest way there.
fn fails(without: Without, requests: u8, property: &'static str) {
    let checker = search(Protocol {
        requests,
        without,
        ..SMALL
    });
    let way = checker.discovery(property).expect("the checker finds it");
    println!(
        "without {without:?}, {property:?} breaks: {:?}",
        way.into_actions()
    );
}

#[test]
fn the_whole_protocol_holds() {
    holds(SMALL);
    if std::env::var("MODEL").is_ok_and(|size| size == "large") {
        holds(Protocol { requests: 3, ..SMALL });
        holds(Protocol { terms: 3, ..SMALL });
        holds(Protocol {
            nodes: 3,
            terms: 3,
            requests: 1,
            ..SMALL
        });
    }
}

/// At any moment, under owners with something in flight: they answer truthfully, and nobody comes back.
#[test]
fn a_sealed_partition_holds_its_promises() {
    let sealed = Protocol {
        seals: true,
        terms: 1,
        ..SMALL
    };
    holds(sealed);
    if std::env::var("MODEL").is_ok_and(|size| size == "large") {
        holds(Protocol { terms: 2, ..sealed });
    }
    let checker = search(Protocol {
        without: Without::Fencing,
        ..sealed
    });
    let broken = checker.discovery("nothing counts behind the seal");
    println!("{:?}", broken.expect("the checker finds it").into_actions());
}

#[test]
fn without_fencing_a_zombie_is_believed() {
    fails(
        Without::Fencing,
        2,
        "I4 sequences 1..n, each event decided on its prefix",
    );
}

#[test]
fn without_a_look_at_the_offsets_what_is_void_is_acknowledged() {
    fails(Without::Contiguity, 2, "I1 acknowledged means present");
}

#[test]
fn without_one_owner_per_epoch_both_write() {
    fails(
        Without::OneOwnerPerEpoch,
        2,
        "I4 sequences 1..n, each event decided on its prefix",
    );
}

#[test]
fn without_a_barrier_what_was_given_up_comes_late() {
    fails(Without::Barrier, 2, "I2 refused for sure means absent");
}

#[test]
fn without_a_fresh_look_a_refusal_is_stale() {
    fails(Without::FreshRefusals, 2, "a refusal is true when it is given");
}

#[test]
fn without_memory_a_repeat_is_done_twice() {
    fails(Without::Memory, 3, "I3 one command, one event");
}
