//! Misfortunes, as the seed has them.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::assignment::AssignmentChange;
use eventsourcing::simulated::Faults;
use eventsourcing::topic::TopicPartition;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::node::Node;
use crate::profile::Misfortune;
use crate::world::{NODES, World};

/// How long the storm lasts.
const STORM: Duration = Duration::from_millis(4_500);
/// How long the group takes to notice that a node is gone, at most.
const SESSION_MS_MAX: u64 = 500;
/// How long a node stays dead or frozen, at most.
const AWAY_MS_MAX: u64 = 1_200;
/// How long a node that stops is waited for.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// No log for anybody.
const AWAY: Faults = Faults {
    lost: 0.5,
    ack_lost: 0.25,
    late: 0.25,
    split: 0.0,
    unavailable: 1.0,
    delay_ms_max: 20,
};

/// Starts the nodes and shares out the partitions.
pub(crate) fn begin(world: &Arc<World>) {
    for number in 0..NODES {
        world.put(number, Node::start(world, number));
    }
    for at in world.partitions() {
        tell(world, draw(world, NODES), AssignmentChange::Assigned(at));
    }
}

/// Brings misfortune until the storm is over, and waits for what was begun.
pub(crate) async fn storm(world: &Arc<World>, mut random: StdRng, deaths: mpsc::UnboundedReceiver<usize>) {
    let mut begun = JoinSet::new();
    let raging = async {
        loop {
            sleep(Duration::from_millis(
                random.random_range(20..=world.profile.pause_ms_max),
            ))
            .await;
            let misfortune = *world.profile.misfortunes.choose(&mut random).expect("has some");
            let number = random.random_range(0..NODES);
            match misfortune {
                Misfortune::Crash => {
                    let _ = world.deaths.send(number);
                }
                Misfortune::Restart => drop(begun.spawn(restart(Arc::clone(world), number))),
                Misfortune::Freeze => drop(begun.spawn(freeze(Arc::clone(world), number))),
                Misfortune::Rebalance => drop(begun.spawn(rebalance(Arc::clone(world)))),
                Misfortune::ClockJump => clock_jump(world, number),
                Misfortune::LogAway => drop(begun.spawn(log_away(Arc::clone(world)))),
            }
        }
    };
    let burying = tokio::spawn(bury_all(Arc::clone(world), deaths));
    let _ = tokio::time::timeout(STORM, raging).await;
    while begun.join_next().await.is_some() {}
    // Deaths at gates end with the calm; the last funerals take this long.
    world.set_calm();
    sleep(Duration::from_millis(SESSION_MS_MAX + AWAY_MS_MAX + 100)).await;
    burying.abort();
}

/// Everything works again: all nodes are new, each partition has one owner, and the log behaves.
pub(crate) async fn heal(world: &Arc<World>) {
    world.note("calm");
    world.log.set_faults(Faults {
        delay_ms_max: 5,
        ..Faults::NONE
    });
    for at in world.partitions() {
        let owner = draw(world, NODES);
        for number in 0..NODES {
            if world.node(number, |_| ()).is_none() {
                world.put(number, Node::start(world, number));
            }
            tell(world, number, AssignmentChange::Revoked(at.clone()));
        }
        // One that held it lets go first.
        sleep(Duration::from_millis(100)).await;
        tell(world, owner, AssignmentChange::Assigned(at));
    }
}

fn draw(world: &World, below: usize) -> usize {
    usize::try_from(world.draw() % below as u64).expect("below a usize")
}

fn tell(world: &World, number: usize, change: AssignmentChange) {
    world.note(&format!("node-{number}: {change:?}"));
    world.node(number, |node| node.tell(change));
}

async fn bury_all(world: Arc<World>, mut deaths: mpsc::UnboundedReceiver<usize>) {
    let mut funerals = JoinSet::new();
    while let Some(number) = deaths.recv().await {
        // Whoever died a moment ago is being buried already.
        if let Some(node) = world.remove(number) {
            node.kill();
            world.note(&format!("node-{number}: killed"));
            world.count(|happened| happened.crashes += 1);
            funerals.spawn(bury(Arc::clone(&world), number));
        }
    }
}

/// The group notices, and others take over; the node comes back.
async fn bury(world: Arc<World>, number: usize) {
    let away = world.pause(AWAY_MS_MAX);
    let handing_on = async {
        world.pause(SESSION_MS_MAX).await;
        hand_on(&world, number);
    };
    tokio::join!(away, handing_on);
    world.note(&format!("node-{number}: starts"));
    world.put(number, Node::start(&world, number));
}

/// Whatever nobody serves, or only this node, goes to somebody else. The group may be wrong.
fn hand_on(world: &World, from: usize) {
    for at in world.partitions() {
        let served = (0..NODES)
            .filter(|number| *number != from)
            .any(|number| world.node(number, |node| node.serves(&at)).unwrap_or(false));
        if !served {
            let to = (from + 1 + draw(world, NODES - 1)) % NODES;
            tell(world, to, AssignmentChange::Assigned(at));
        }
    }
}

async fn restart(world: Arc<World>, number: usize) {
    let Some(node) = world.remove(number) else { return };
    world.note(&format!("node-{number}: stops"));
    world.count(|happened| happened.restarts += 1);
    let in_time = node.stop(STOP_PATIENCE).await;
    world.note(&format!("node-{number}: stopped, in time: {in_time}"));
    hand_on(&world, number);
    world.pause(AWAY_MS_MAX / 4).await;
    world.put(number, Node::start(&world, number));
}

async fn freeze(world: Arc<World>, number: usize) {
    let Some(life) = world.node(number, |node| Arc::clone(&node.life)) else {
        return;
    };
    if life.is_frozen() {
        return;
    }
    world.note(&format!("node-{number}: freezes"));
    world.count(|happened| happened.freezes += 1);
    life.freeze();
    world.pause(SESSION_MS_MAX).await;
    hand_on(&world, number);
    world.pause(2 * AWAY_MS_MAX).await;
    life.wake();
    world.note(&format!("node-{number}: wakes up"));
    // It learns late what it has lost.
    world.pause(SESSION_MS_MAX).await;
    for at in world.partitions() {
        let elsewhere = (0..NODES)
            .filter(|other| *other != number)
            .any(|other| world.node(other, |node| node.serves(&at)).unwrap_or(false));
        if elsewhere {
            tell(&world, number, AssignmentChange::Lost(at));
        }
    }
}

async fn rebalance(world: Arc<World>) {
    let partitions: Vec<TopicPartition> = world.partitions().collect();
    let at = partitions[draw(&world, partitions.len())].clone();
    let to = draw(&world, NODES);
    let before: Vec<usize> = (0..NODES)
        .filter(|number| *number != to)
        .filter(|number| world.node(*number, |node| node.serves(&at)).unwrap_or(false))
        .collect();
    world.count(|happened| happened.rebalances += 1);
    match draw(&world, 4) {
        // In order.
        0 => {
            for number in &before {
                tell(&world, *number, AssignmentChange::Revoked(at.clone()));
            }
            world.pause(100).await;
            tell(&world, to, AssignmentChange::Assigned(at));
        }
        // The old one learns of it later: two believe.
        1 => {
            world.count(|happened| happened.duels += 1);
            tell(&world, to, AssignmentChange::Assigned(at.clone()));
            world.pause(AWAY_MS_MAX).await;
            for number in &before {
                tell(&world, *number, AssignmentChange::Lost(at.clone()));
            }
        }
        // It never learns of it.
        2 => {
            world.count(|happened| happened.duels += 1);
            tell(&world, to, AssignmentChange::Assigned(at));
        }
        // Nobody, for a while.
        _ => {
            for number in 0..NODES {
                tell(&world, number, AssignmentChange::Revoked(at.clone()));
            }
            world.pause(AWAY_MS_MAX / 2).await;
            tell(&world, to, AssignmentChange::Assigned(at));
        }
    }
}

fn clock_jump(world: &World, number: usize) {
    if let Some(ahead) = world.node(number, |node| node.clock.jump()) {
        world.note(&format!("node-{number}: its clock is {ahead} s ahead"));
        world.count(|happened| happened.clock_jumps += 1);
    }
}

async fn log_away(world: Arc<World>) {
    world.note("no log");
    world.count(|happened| happened.log_away += 1);
    world.log.set_faults(AWAY);
    world.pause(AWAY_MS_MAX / 2).await;
    world.log.set_faults(world.profile.faults);
    world.note("the log is back");
}
