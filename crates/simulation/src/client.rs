//! Clients: they send, repeat, cross their own repeats, name sequences, reuse keys, give up.

use std::sync::Arc;
use std::time::Duration;

use checker::{Outcome, Question};
use eventsourcing::command::{Context, Expected};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest, EventId, Sequence};
use eventsourcing::topic::partition_of;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

use crate::bank::account::{Account, Command};
use crate::world::{NODES, World};

const COMMANDS_PER_CLIENT: u64 = 8;
/// Commands sent at once, now and then.
const BURST: u64 = 5;

/// A command with all that its repeats share.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) id: CommandId,
    pub(crate) account: AggregateId,
    pub(crate) content: Command,
    pub(crate) expected: Expected,
    pub(crate) causation: Option<EventId>,
}

impl Request {
    fn digest(&self) -> Digest {
        Digest::of(&[format!("{:?} {:?}", self.content, self.expected).as_bytes()])
    }
}

/// The account with this number.
pub(crate) fn account(number: u64) -> AggregateId {
    format!("account-{number}").parse().expect("a valid id")
}

/// One client.
pub(crate) async fn run(world: Arc<World>, number: u64, mut random: StdRng) {
    let mut sent: Vec<Request> = Vec::new();
    let mut seen = Sequence(0);
    for index in 0..COMMANDS_PER_CLIENT {
        let before = (!sent.is_empty()).then(|| sent[random.random_range(0..sent.len())].clone());
        let request = match (before, random.random_range(0..100)) {
            // A repeat long after the answer.
            (Some(before), 0..10) => before,
            // Another request under a key that was used before.
            (Some(before), 10..16) => Request {
                content: content(&world, &mut random),
                ..before
            },
            (Some(_) | None, draw) => Request {
                id: CommandId::of_key("client", &format!("{number}/{index}")),
                account: account(random.random_range(0..world.profile.accounts)),
                content: content(&world, &mut random),
                expected: match draw {
                    0..30 => Expected::Exactly(seen),
                    _ => Expected::Any,
                },
                causation: None,
            },
        };
        sent.push(request.clone());
        if random.random_bool(0.12) {
            let burst = (0..BURST).map(|index| Request {
                id: CommandId::of_key("client", &format!("{number}/{}/{index}", request.id)),
                content: content(&world, &mut random),
                expected: Expected::Any,
                ..request.clone()
            });
            burst_of(&world, burst.collect(), &mut random).await;
        }
        // Now and then the same command twice at once: a retry that crosses its original.
        let crossing = random.random_bool(0.2);
        let mine = until_known(&world, &request, StdRng::seed_from_u64(random.random()));
        let told = if crossing {
            let other = until_known(&world, &request, StdRng::seed_from_u64(random.random()));
            tokio::join!(mine, other).0
        } else {
            mine.await
        };
        if let Outcome::Accepted(accepted) = told {
            seen = accepted.sequence;
        }
        sleep(Duration::from_millis(random.random_range(0..400))).await;
    }
}

/// Many at once at one partition: they share batches.
async fn burst_of(world: &World, requests: Vec<Request>, random: &mut StdRng) {
    let sending = requests.iter().map(|request| {
        let random = StdRng::seed_from_u64(random.random());
        until_known(world, request, random)
    });
    futures::future::join_all(sending).await;
}

fn content(world: &World, random: &mut StdRng) -> Command {
    let amount = random.random_range(1..=5);
    match random.random_range(0..10) {
        0..4 => Command::Deposit(amount),
        4..7 => Command::Withdraw(amount),
        _ => Command::Send {
            to: account(random.random_range(0..world.profile.accounts)),
            amount,
        },
    }
}

/// Sends a command, at whichever node, until the outcome is definite; now and then the client gives up.
pub(crate) async fn until_known(world: &World, request: &Request, mut random: StdRng) -> Outcome {
    let patience = Duration::from_millis(random.random_range(50..2_000));
    loop {
        let node = choose(world, request, &mut random);
        let outcome = attempt(world, request, node, patience).await;
        let gives_up = random.random_bool(0.02);
        match outcome {
            Outcome::NotAttempted(_) | Outcome::Unknown if !gives_up => {
                sleep(Duration::from_millis(random.random_range(10..150))).await;
            }
            Outcome::Accepted(_)
            | Outcome::Refused
            | Outcome::Conflict(_)
            | Outcome::KeyReused
            | Outcome::NotAttempted(_)
            | Outcome::Unknown => return outcome,
        }
    }
}

/// Mostly a node that believes it serves the partition.
fn choose(world: &World, request: &Request, random: &mut StdRng) -> usize {
    let first = random.random_range(0..NODES);
    if random.random_bool(0.1) {
        return first;
    }
    let at = world
        .topic
        .partition(partition_of(&request.account, world.profile.partitions));
    (first..first + NODES)
        .map(|number| number % NODES)
        .find(|number| world.node(*number, |node| node.serves(&at)).unwrap_or(false))
        .unwrap_or(first)
}

/// Sends a command once.
pub(crate) async fn attempt(world: &World, request: &Request, node: usize, patience: Duration) -> Outcome {
    let parts = world.node(node, |node| (node.service.clone(), Arc::clone(&node.life)));
    let Some((service, life)) = parts else {
        // Nobody there to connect to.
        return Outcome::NotAttempted(None);
    };
    let at = service.partition(&request.account);
    let question = Question::<Account> {
        command: request.id,
        digest: Some(request.digest()),
        aggregate: request.account.clone(),
        at: at.clone(),
        content: Some(Arc::new(request.content.clone())),
        expected: request.expected,
        node: format!("node-{node}").into(),
    };
    let context = Context {
        id: request.id,
        digest: request.digest(),
        expected: request.expected,
        correlation: "".into(),
        causation: request.causation,
        actor: "".into(),
        traceparent: None,
    };
    let pending = world.recorder.ask(question, Some(world.end(&at)));
    let asking = async {
        life.pass().await;
        let outcome = service
            .execute(request.account.clone(), request.content.clone(), context)
            .await;
        // The answer of a frozen node comes when it wakes up, that of a dead one never.
        life.pass().await;
        Outcome::from(&outcome)
    };
    let outcome = timeout(patience, asking).await.unwrap_or(Outcome::Unknown);
    pending.answered(outcome.clone(), Some(world.end(&at)));
    outcome
}
