//! On the simulated log, on good days and bad ones. What came of a copy is judged by a reader of its own.

mod shop;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::ids::Offset;
use crate::simulated::Faults;
use shop::{FROM, Shop, Silent, TO, old};

const SMALL: Config = Config {
    round_records_max: 20,
    batch_records_max: 4,
    batch_bytes_max: 2_000,
    flaw: None,
};

/// A log that leaves much in doubt, but is read in peace, so that a run comes to its end.
const DOUBTFUL: Faults = Faults {
    lost: 0.05,
    ack_lost: 0.08,
    late: 0.08,
    split: 0.4,
    unavailable: 0.02,
    delay_ms_max: 20,
};

/// Copies what there is, seals, copies the rest.
async fn whole(shop: &Shop, config: Config) -> Result<Repartition, RepartitionError> {
    let mut copy = Repartition::open(shop.settings(config)).await?;
    while copy.round(&Silent).await? > 0 {}
    copy.seal().await?;
    copy.finish(&Silent).await?;
    Ok(copy)
}

/// Runs `work` up to this many awaits and lets it fall there, as a `kill -9` does.
async fn killed_after<T>(awaits: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = awaits;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn every_key_has_its_events_in_their_order() {
    let shop = Shop::open(1, Faults::NONE);
    shop.trade(300).await;
    let copy = whole(&shop, SMALL).await.expect("copied");
    assert!(copy.is_complete());
    shop.is_whole().expect("equal");
    assert_eq!(copy.events(), shop.accepted(&old()).len() as u64);
    assert!(copy.events() > 200, "void ones left out: {}", copy.events());
    // Again: nothing is left to do, and nothing is appended but fences.
    let again = whole(&shop, SMALL).await.expect("copied");
    assert_eq!(again.hashes(), copy.hashes());
    shop.is_whole().expect("equal");
}

#[tokio::test(start_paused = true)]
async fn what_comes_meanwhile_is_copied_up_to_the_seal_and_no_further() {
    let shop = Shop::open(2, Faults::NONE);
    shop.trade(50).await;
    let mut copy = Repartition::open(shop.settings(SMALL)).await.expect("opens");
    for _ in 0..5 {
        copy.round(&Silent).await.expect("copies");
        shop.trade(30).await;
    }
    while copy.round(&Silent).await.expect("copies") > 0 {}
    assert!(matches!(
        copy.finish(&Silent).await,
        Err(RepartitionError::NotSealed(_))
    ));
    copy.seal().await.expect("seals");
    copy.seal().await.expect("seals again");
    // A deposed owner's late batches, and one that would like to come back.
    shop.trade(30).await;
    copy.finish(&Silent).await.expect("copied");
    assert!(copy.is_sealed().await.expect("looks"));
    assert_eq!(copy.seals().len(), FROM as usize);
    shop.is_whole().expect("equal");
}

#[tokio::test(start_paused = true)]
async fn a_copier_killed_at_any_await_loses_and_doubles_nothing() {
    let mut awaits = 0;
    loop {
        let shop = Shop::open(
            3,
            Faults {
                delay_ms_max: 20,
                split: 0.5,
                ..Faults::NONE
            },
        );
        shop.trade(60).await;
        // Killed twice, with the second still racing what the first one left on its way.
        let done = killed_after(awaits, whole(&shop, SMALL)).await.is_some();
        killed_after(awaits / 2, whole(&shop, SMALL)).await;
        whole(&shop, SMALL).await.expect("the third ends it");
        shop.is_whole()
            .unwrap_or_else(|wrong| panic!("killed after {awaits} awaits: {wrong}"));
        if done {
            break;
        }
        awaits += 1;
    }
    assert!(awaits > 20, "{awaits} awaits");
    println!("killed at each of {awaits} awaits");
}

/// A run on a log that leaves much in doubt, killed at times, until it is done; what it came to.
async fn stormy(seed: u64, config: Config) -> Result<(), String> {
    let shop = Shop::open(seed, Faults::NONE);
    shop.trade(120).await;
    shop.log.set_faults(DOUBTFUL);
    for kill in 0..3 {
        let awaits = u32::try_from((seed * 7 + kill * 31) % 90).expect("small");
        killed_after(awaits, whole(&shop, config)).await;
    }
    let outcome = whole(&shop, config).await;
    // What is late arrives.
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    outcome.map_err(|error| error.to_string())?;
    shop.is_whole()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_guessed_on_a_bad_day() {
    for seed in 0..200 {
        stormy(seed, SMALL)
            .await
            .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

/// The first seed for which a broken copier is found out.
async fn found_out(flaw: Flaw) -> (u64, String) {
    let config = Config {
        flaw: Some(flaw),
        ..SMALL
    };
    for seed in 0..200 {
        if let Err(wrong) = stormy(seed, config).await {
            return (seed, wrong);
        }
    }
    panic!("nobody notices {flaw:?}");
}

#[tokio::test(start_paused = true)]
async fn each_flaw_is_found_out() {
    for flaw in [Flaw::DoubtMeansLost, Flaw::NoFence, Flaw::VoidCopied] {
        let (seed, wrong) = found_out(flaw).await;
        println!("{flaw:?}: seed {seed}: {wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_copier_deposes_the_first() {
    let shop = Shop::open(4, Faults::NONE);
    shop.trade(100).await;
    let mut first = Repartition::open(shop.settings(SMALL)).await.expect("opens");
    first.round(&Silent).await.expect("copies");
    let mut second = Repartition::open(shop.settings(SMALL)).await.expect("opens");
    second.round(&Silent).await.expect("copies");
    let overtaken = first.round(&Silent).await;
    assert!(
        matches!(overtaken, Err(RepartitionError::Overtaken(_))),
        "{overtaken:?}"
    );
    while second.round(&Silent).await.expect("copies") > 0 {}
    second.seal().await.expect("seals");
    second.finish(&Silent).await.expect("copied");
    shop.is_whole().expect("equal");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_holds_other_events_is_refused() {
    let shop = Shop::open(5, Faults::NONE);
    shop.trade(100).await;
    let other = Shop::open(6, Faults::NONE);
    other.trade(90).await;
    whole(&other, SMALL).await.expect("copied");
    shop.take_target_of(&other).await;
    let Err(refused) = whole(&shop, SMALL).await else {
        panic!("it was taken for a copy");
    };
    assert!(matches!(refused, RepartitionError::Differs { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn whoever_read_the_old_topic_goes_on_before_the_first_event_it_has_not_seen() {
    let shop = Shop::open(7, Faults::NONE);
    shop.trade(400).await;
    let copy = whole(&shop, SMALL).await.expect("copied");
    assert_eq!(
        copy.resumed(&shop.seen(|_| usize::MAX)).await.expect("reads"),
        copy.ends()
    );
    let beginning = copy.resumed(&Checkpoints::new()).await.expect("reads");
    assert!(
        beginning.values().all(|place| place.next == Offset(1)),
        "behind the first fence: {beginning:?}"
    );
    for much in [0, 1, 7, 40, 90] {
        let seen = shop.seen(|partition| much * (partition as usize + 1));
        let resumed = copy.resumed(&seen).await.expect("reads");
        for (partition, place) in &resumed {
            let first = shop.first_unseen(*partition, &seen);
            let Checkpoint { next, rule } = *place;
            assert_eq!(
                next,
                first.map_or(copy.ends()[partition].next, |(offset, _)| offset),
                "{much}"
            );
            assert_eq!(
                rule,
                first.map_or(copy.ends()[partition].rule, |(_, rule)| rule),
                "{much}"
            );
        }
    }
    assert_eq!(TO, u32::try_from(copy.ends().len()).expect("small"));
}
