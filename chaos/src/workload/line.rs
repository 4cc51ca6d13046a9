//! A client's connections to all nodes, and one attempt over them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Command;
use super::told::Told;
use super::{Address, Shared};
use crate::http::{Answer, Connection, NoAnswer, Request};

/// How long one answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub(crate) Duration);

/// The connections of one client to one node.
pub(crate) struct Line {
    pub(crate) address: Address,
    commands: Connection,
    queries: Connection,
    shared: Arc<Shared>,
}

impl Line {
    pub(crate) fn to_all(shared: &Arc<Shared>) -> Vec<Self> {
        let to = |address: &Address| Self {
            address: address.clone(),
            commands: Connection::to(address.commands),
            queries: Connection::to(address.queries),
            shared: Arc::clone(shared),
        };
        shared.nodes.iter().map(to).collect()
    }

    /// Asks once, and notes it.
    pub(crate) async fn attempt(&mut self, command: &Command, patience: Patience) -> Told {
        let (shared, sent) = (Arc::clone(&self.shared), Instant::now());
        let asked = shared.record.ask(command, &self.address.name);
        let headers = [("idempotency-key", command.key.as_str())];
        let request = Request {
            method: "POST",
            path: &command.path,
            headers: &headers,
            body: &command.body,
        };
        let told = Told::of(self.commands.send(request, patience.0).await);
        shared.record.answered(asked, &told);
        if let Told::Accepted(accepted) = &told
            && !accepted.replayed
        {
            shared.recovery.accepted(&command.at, sent);
        }
        told
    }

    /// Reads a page, not older than `position`.
    pub(crate) async fn page(
        &mut self,
        path: &str,
        position: &str,
        patience: Patience,
    ) -> Result<Answer, NoAnswer> {
        let headers = [("daybook-position", position)];
        let request = Request {
            headers: &headers,
            ..Request::get(path)
        };
        self.queries.send(request, patience.0).await
    }
}
