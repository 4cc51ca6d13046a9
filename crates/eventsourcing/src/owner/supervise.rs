//! Who owns what, said to the tasks of the partitions.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::assignment::{Assignment, AssignmentChange};
use crate::topic::Topic;

use super::OwnerError;
use super::partition::Role;

/// The roles of all partitions.
pub(super) struct Roles {
    pub(super) topic: Topic,
    pub(super) of: Vec<watch::Sender<Role>>,
    /// See [`super::Config::handover_max`].
    pub(super) handover_max: Duration,
}

impl Roles {
    fn set(&self, partition: u32, to: Role) {
        if let Some(role) = self.of.get(partition as usize) {
            role.send_replace(to);
        }
    }

    fn set_all(&self, to: Role) {
        for role in &self.of {
            role.send_replace(to);
        }
    }

    /// Another node is to own it, and needs a moment to hear of that and to fence. Until then it is served here: the
    /// fence decides, so nobody has to wait for the moment in between.
    fn hand_over(&self, partition: u32, yields: &mut JoinSet<u32>) {
        let Some(role) = self.of.get(partition as usize) else {
            return;
        };
        let begun = role.send_if_modified(|role| {
            let owns = *role == Role::Own;
            if owns {
                *role = Role::Yield;
            }
            owns
        });
        if begun {
            let most = self.handover_max;
            yields.spawn(async move {
                tokio::time::sleep(most).await;
                partition
            });
        }
    }

    /// Nobody has fenced in time.
    fn let_go(&self, partition: u32) {
        if let Some(role) = self.of.get(partition as usize) {
            role.send_if_modified(|role| {
                let yields = *role == Role::Yield;
                if yields {
                    *role = Role::Idle;
                }
                yields
            });
        }
    }
}

/// Turns assignment changes into roles until shutdown or the first task that fails.
pub(super) async fn supervise(
    roles: Roles,
    mut tasks: JoinSet<Result<(), OwnerError>>,
    mut assignment: Box<dyn Assignment>,
    shutdown: CancellationToken,
) -> Result<(), OwnerError> {
    let mut yields = JoinSet::new();
    let mut assigning = true;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.join_next() => {
                // Dropping the set aborts the other partitions: one log, one fate.
                return ended.unwrap_or_else(|death| std::panic::resume_unwind(death.into_panic()));
            }
            Some(Ok(partition)) = yields.join_next() => roles.let_go(partition),
            change = assignment.next(), if assigning => match change {
                Some(AssignmentChange::Assigned(at)) if at.topic == roles.topic => {
                    roles.set(at.partition, Role::Own);
                }
                Some(AssignmentChange::Revoked(at)) if at.topic == roles.topic => {
                    roles.hand_over(at.partition, &mut yields);
                }
                // What is in flight is settled by R, not by haste.
                Some(AssignmentChange::Lost(at)) if at.topic == roles.topic => {
                    roles.set(at.partition, Role::Idle);
                }
                Some(_) => {}
                None => {
                    assigning = false;
                    roles.set_all(Role::Idle);
                }
            },
        }
    }
    roles.set_all(Role::Stop);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or_else(|death| std::panic::resume_unwind(death.into_panic()))?;
    }
    Ok(())
}
