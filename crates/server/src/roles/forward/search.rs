//! Finding whom to ask: here, where the route leads to, or, while nobody is known to serve the partition, whoever
//! comes next.

use std::time::Duration;

use eventsourcing::aggregate::Aggregate;
use eventsourcing::routes::Route;
use eventsourcing::topic::TopicPartition;
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::Instant;

use super::Forwarding;

/// Before the owner of this node is asked again.
const HERE_PAUSE: Duration = Duration::from_millis(50);

/// Who serves the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This node.
    Here,
    /// Another.
    There(Route),
}

impl Place {
    /// In whatever term.
    pub(super) fn is_same_node(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here, Self::Here) => true,
            (Self::There(one), Self::There(two)) => one.url == two.url,
            (Self::Here, Self::There(_)) | (Self::There(_), Self::Here) => false,
        }
    }
}

/// Stirs when the partition may have come to be served, here or elsewhere.
pub(super) struct News {
    here: Option<watch::Receiver<bool>>,
    routes: watch::Receiver<()>,
}

impl News {
    /// Of what happens after this call.
    pub(super) fn of<A: Aggregate>(forwarding: &Forwarding<A>, at: &TopicPartition) -> Self {
        let mut here = forwarding.local.watch(at);
        if let Some(here) = &mut here {
            here.borrow_and_update();
        }
        Self {
            here,
            routes: forwarding.peers.routes.watch(),
        }
    }

    /// The next stir; never, once nobody is left to cause one.
    pub(super) async fn next(&mut self) {
        let Self { here, routes } = self;
        let here = async {
            let stirred = match here {
                Some(here) => here.changed().await.is_ok(),
                None => false,
            };
            if !stirred {
                std::future::pending::<()>().await;
            }
        };
        let there = async {
            if routes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = here => {}
            () = there => {}
        }
    }
}

/// The search of one command.
pub(super) struct Search<'a, A: Aggregate> {
    forwarding: &'a Forwarding<A>,
    at: &'a TopicPartition,
    patience: Instant,
    /// When the owner of this node, which has failed, may be asked again.
    here_again: Option<Instant>,
    /// The term of the route in use, for what becomes of it.
    asked: Option<Route>,
    /// Its place among those who wait.
    waits: Option<SemaphorePermit<'a>>,
}

impl<'a, A: Aggregate> Search<'a, A> {
    /// Gives up at `patience`.
    pub(super) const fn new(
        forwarding: &'a Forwarding<A>,
        at: &'a TopicPartition,
        patience: Instant,
    ) -> Self {
        Self {
            forwarding,
            at,
            patience,
            here_again: None,
            asked: None,
            waits: None,
        }
    }

    /// Goes on for longer.
    pub(super) const fn until(&mut self, patience: Instant) {
        self.patience = patience;
    }

    /// Whom to ask now, or when there is somebody; `None` when the time is up, or too many wait already.
    pub(super) async fn next(&mut self) -> Option<Place> {
        if self.patience <= Instant::now() {
            return None;
        }
        if let Ok(place) = self.look() {
            return Some(place);
        }
        if self.waits.is_none() {
            let places = self.forwarding.waiting.get(self.at.partition as usize)?;
            self.waits = Some(places.try_acquire().ok()?);
        }
        while Instant::now() < self.patience {
            // Before the look, so that nothing is missed in between.
            let mut news = News::of(self.forwarding, self.at);
            let again = match self.look() {
                Ok(place) => return Some(place),
                Err(again) => again.unwrap_or(self.patience).min(self.patience),
            };
            tokio::select! {
                () = news.next() => {}
                () = tokio::time::sleep_until(again) => {}
            }
        }
        None
    }

    /// Who is to be asked, or when to look again.
    fn look(&mut self) -> Result<Place, Option<Instant>> {
        let now = Instant::now();
        match self.forwarding.place(self.at).ok_or(None)? {
            Place::Here => match self.here_again {
                Some(again) if again > now => Err(Some(again)),
                Some(_) | None => Ok(Place::Here),
            },
            Place::There(route) => {
                let suspects = &self.forwarding.suspects;
                suspects.may_ask(self.at.partition, route.epoch, now)?;
                self.asked = Some(route.clone());
                Ok(Place::There(route))
            }
        }
    }

    /// `place` did not do it, for reasons of its own.
    pub(super) fn failed(&mut self, place: Place) {
        let now = Instant::now();
        match place {
            Place::Here => self.here_again = Some(now + HERE_PAUSE),
            Place::There(route) => {
                let suspects = &self.forwarding.suspects;
                suspects.blame(self.at.partition, route.epoch, now);
            }
        }
    }

    /// Whoever was asked has answered, one way or the other.
    pub(super) fn answered(&self) {
        if let Some(route) = &self.asked {
            self.forwarding.suspects.clear(self.at.partition, route.epoch);
        }
    }
}
