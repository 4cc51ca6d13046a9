//! Who serves which partition, for whoever wants to send a command there: a fold of the topic
//! `<prefix>.owners`, to which each owner says so when it has won its fence. A hint, never a proof: a route
//! that is out of date costs a refusal, and the fence decides who may write.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use tokio::sync::watch;

use crate::ids::{Epoch, Offset};
use crate::log::{Appended, Log, LogError};
use crate::record::{Record, Stored};
use crate::topic::{Topic, TopicPartition};

const READ_RECORDS_MAX: usize = 1_000;
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often an announcement is tried before the owner goes without: others then refuse instead of
/// forwarding.
const TRIES_MAX: u32 = 5;

/// Where the owner of a partition takes commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The term it serves in; the highest is the newest.
    pub epoch: Epoch,
    /// The node's name, for people.
    pub node: String,
    /// Where it takes forwarded commands.
    pub url: String,
}

/// The topic of all routes, with one partition.
#[must_use]
pub fn topic(prefix: &str) -> Topic {
    Topic::named(&format!("{prefix}.owners"))
}

/// Says that `route` leads to the owner of `at`.
pub async fn announce(log: &dyn Log, routes: &Topic, at: &TopicPartition, route: &Route) {
    let value = serde_json::to_vec(route).expect("a route is plain JSON");
    let record = Record {
        key: Bytes::from(at.to_string()),
        value: Bytes::from(value),
        headers: vec![(
            Cow::Borrowed("content-type"),
            Bytes::from_static(b"application/json"),
        )],
    };
    for _ in 0..TRIES_MAX {
        match log.append(&routes.partition(0), vec![record.clone()]).await {
            Appended::At(_) => return,
            // Twice is as good as once.
            Appended::Unknown(reason) => {
                tracing::warn!(partition = %at, reason, "others may not know yet who serves the partition");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// The routes known by now. Clones share them.
#[derive(Clone, Default)]
pub struct Routes(Arc<Known>);

#[derive(Default)]
struct Known {
    routes: RwLock<HashMap<String, Route>>,
    /// Stirs with each new route.
    news: watch::Sender<()>,
}

impl Routes {
    /// Where the owner of `at` was last seen.
    pub fn to(&self, at: &TopicPartition) -> Option<Route> {
        let known = self.0.routes.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&at.to_string()).cloned()
    }

    /// Changes with each route that becomes known after this call.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    /// Follows the topic for ever; an error is final.
    pub async fn follow(
        self,
        log: Arc<dyn Log>,
        routes: Topic,
    ) -> Result<std::convert::Infallible, LogError> {
        let mut next = Offset(0);
        loop {
            match self.tail(&*log, &routes, &mut next).await {
                Err(LogError::Unavailable(reason) | LogError::NoSuchTopic(reason)) => {
                    tracing::debug!(reason, "the routes wait for the log");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    async fn tail(
        &self,
        log: &dyn Log,
        routes: &Topic,
        next: &mut Offset,
    ) -> Result<std::convert::Infallible, LogError> {
        // What is no longer there said where owners were, not where they are.
        let at = routes.partition(0);
        *next = log.bounds(&at).await?.start.max(*next);
        let mut reader = log.reader(vec![(at, *next)]).await?;
        loop {
            for stored in reader.next(READ_RECORDS_MAX).await? {
                *next = stored.offset.next();
                self.fold(&stored);
            }
        }
    }

    /// The newest term wins, whatever the order in which owners came to say so.
    fn fold(&self, stored: &Stored) {
        let key = String::from_utf8_lossy(&stored.record.key).into_owned();
        let route: Route = match serde_json::from_slice(&stored.record.value) {
            Ok(route) => route,
            Err(error) => {
                // A hint that cannot be read is none.
                tracing::warn!(at = %stored.at, offset = %stored.offset, %error, "not a route");
                return;
            }
        };
        let mut known = self.0.routes.write().unwrap_or_else(PoisonError::into_inner);
        if known.get(&key).is_none_or(|known| known.epoch < route.epoch) {
            known.insert(key, route);
            drop(known);
            self.0.news.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn stored(offset: u64, epoch: u64, node: &str) -> Stored {
        let route = format!(r#"{{"epoch":{epoch},"node":"{node}","url":"http://{node}"}}"#);
        Stored {
            at: topic("shop").partition(0),
            offset: Offset(offset),
            timestamp: OffsetDateTime::UNIX_EPOCH,
            record: Record {
                key: Bytes::from_static(b"shop.orders.events/1"),
                value: Bytes::from(route),
                headers: Vec::new(),
            },
        }
    }

    #[test]
    fn the_newest_term_wins_even_when_it_spoke_first() {
        let routes = Routes::default();
        let mut news = routes.watch();
        let at = Topic::events("shop", "orders").partition(1);
        assert_eq!(routes.to(&at), None);
        for (offset, epoch, node, is_news) in [(0, 1, "a", true), (1, 3, "c", true), (2, 2, "b", false)] {
            routes.fold(&stored(offset, epoch, node));
            assert_eq!(news.has_changed().ok(), Some(is_news), "{node}");
            news.borrow_and_update();
        }
        assert_eq!(routes.to(&at).map(|route| route.url), Some("http://c".to_owned()));
        let mut broken = stored(3, 4, "d");
        broken.record.value = Bytes::from_static(b"{");
        routes.fold(&broken);
        assert_eq!(routes.to(&at).map(|route| route.node), Some("c".to_owned()));
    }
}
