//! Two projectors with a share each: what they hand over, also while one of them is frozen.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use eventsourcing::aggregate::Recorded;
use eventsourcing::assignment::AssignmentChange;
use eventsourcing::contract::account::Moved;
use eventsourcing::projection::{Change, FoldError, View};
use eventsourcing::readers::{Presumption, Share};
use eventsourcing_postgres::projection::Projection;
use tokio::sync::mpsc;

use crate::shop::{AccountRow, Balances, Running, Shop, row};

/// One projector, and how it is told what to work on.
struct Node {
    tell: mpsc::UnboundedSender<AssignmentChange>,
    running: Running,
}

impl Node {
    fn start(shop: &Shop, projection: Projection) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let share = Share::follow(shop.topic.clone(), Box::new(told), Presumption::Nothing);
        Self {
            tell,
            running: shop.share_of(projection, share, 3),
        }
    }

    fn tell(
        &self,
        shop: &Shop,
        partition: u32,
        change: fn(eventsourcing::topic::TopicPartition) -> AssignmentChange,
    ) {
        self.tell
            .send(change(shop.topic.partition(partition)))
            .expect("it listens");
    }

    async fn stop(self) {
        let (running, stop) = self.running;
        stop.cancel();
        running.await.expect("no panic").expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_change_hands_again_and_again() {
    let shop = Shop::open().await;
    let nodes = [(); 2].map(|()| Node::start(&shop, Projection::view::<Balances>()));
    let writing = shop.history(&["a", "b"], 600);
    let moving = async {
        for round in 0..20_usize {
            let (from, to) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
            // Now and then the one who had it hears of it too late, or both have it for a while.
            if round % 3 == 0 {
                from.tell(&shop, 0, AssignmentChange::Revoked);
            }
            to.tell(&shop, 0, AssignmentChange::Assigned);
            tokio::time::sleep(Duration::from_millis(80)).await;
            from.tell(&shop, 0, AssignmentChange::Lost);
        }
    };
    tokio::join!(writing, moving);
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [row("a", 600), row("b", 600)]);
    assert_eq!(shop.parked().await, []);
    for node in nodes {
        node.stop().await;
    }
}

/// Whether the fold of [`Frozen`] is to stand still, whether one does, and whether all is over.
static FREEZER: (Mutex<(bool, bool, bool)>, Condvar) = (Mutex::new((false, false, false)), Condvar::new());

/// Balances whose fold, which is called inside the transaction, stands still when it is told to: all of its
/// projector does then, as all of a frozen process does.
struct Frozen;

impl View for Frozen {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        let (state, changed) = &FREEZER;
        let mut freezer = state.lock().unwrap_or_else(PoisonError::into_inner);
        if freezer.0 {
            freezer.1 = true;
        }
        let awake = changed.wait_while(freezer, |(still, ..)| *still);
        drop(awake.unwrap_or_else(PoisonError::into_inner));
        Balances::fold(row, event)
    }
}

/// It stands still until this is dropped, also by a test that fails.
struct StandsStill;

impl StandsStill {
    fn set(still: bool) {
        let (state, changed) = &FREEZER;
        state.lock().unwrap_or_else(PoisonError::into_inner).0 = still;
        changed.notify_all();
    }

    fn begin() -> Self {
        Self::set(true);
        Self
    }
}

impl Drop for StandsStill {
    fn drop(&mut self) {
        Self::set(false);
    }
}

/// A node on a thread and a runtime of its own: a fold that stands still must stop nobody else.
fn start_apart(
    url: String,
) -> (
    mpsc::UnboundedSender<AssignmentChange>,
    std::thread::JoinHandle<()>,
) {
    let (tell, told) = mpsc::unbounded_channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let shop = Shop::join_at(&url).await;
            let share = Share::follow(shop.topic.clone(), Box::new(told), Presumption::Nothing);
            let (running, _stop) = shop.share_of(Projection::view::<Frozen>(), share, 3);
            testkit::eventually("it has been woken up", Duration::from_mins(2), async || {
                FREEZER
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .2
                    .then_some(())
            })
            .await;
            assert!(!running.is_finished(), "it goes on");
        });
    });
    (tell, thread)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_frozen_in_mid_transaction_is_passed_and_applies_nothing_twice() {
    let url = testkit::postgres().await.url;
    let shop = Shop::open_at(&url).await;
    let (zombie, thread) = start_apart(url);
    let at = shop.topic.partition(0);
    zombie
        .send(AssignmentChange::Assigned(at.clone()))
        .expect("listens");
    shop.history(&["a"], 10).await;
    shop.caught_up().await;
    let still = StandsStill::begin();
    shop.append((11..=20).map(|sequence| shop.event("a", sequence, 1)).collect())
        .await;
    testkit::eventually(
        "it stands in mid-transaction",
        Duration::from_secs(20),
        async || {
            FREEZER
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .1
                .then_some(())
        },
    )
    .await;
    // It holds the checkpoint's row; and it hears of nothing.
    let other = Node::start(&shop, Projection::view::<Balances>());
    other.tell(&shop, 0, AssignmentChange::Assigned);
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [row("a", 20)]);
    drop(still);
    shop.append((21..=30).map(|sequence| shop.event("a", sequence, 1)).collect())
        .await;
    shop.caught_up().await;
    zombie.send(AssignmentChange::Lost(at)).expect("listens");
    FREEZER.0.lock().unwrap_or_else(PoisonError::into_inner).2 = true;
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .expect("no panic")
        .expect("it lived on");
    assert_eq!(shop.rows().await, [row("a", 30)]);
    assert_eq!(shop.parked().await, []);
    other.stop().await;
}
