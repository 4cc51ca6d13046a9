//! Projectors and processes, several at once: partitions that change hands, projectors that die anywhere,
//! that were frozen and wake up in the midst of a transaction, stores that commit what nobody waits for.
//! One thread, one seed. In the end each row is the fold of the log, and no command had two effects.

mod readers {
    pub(crate) mod accounts;
    pub(crate) mod nodes;
    pub(crate) mod overtaken;
    pub(crate) mod process;
    pub(crate) mod projectors;
    pub(crate) mod stranded;
}

use eventsourcing::simulated::CheckpointBug;
use readers::{overtaken, process, projectors, stranded};

const SEEDS: u64 = 300;

/// Runs one world on a clock of its own.
fn run<T>(world: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(world)
}

#[test]
fn rows_equal_the_fold_whoever_projects() {
    let mut seen = projectors::Report::default();
    for seed in 0..SEEDS {
        let report = run(projectors::world(seed, None));
        seen += report.unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
    }
    println!("{SEEDS} seeds: {seen:?}");
    // The faults must really have happened, or the run proves nothing.
    assert!(seen.moves > SEEDS * 20 && seen.crashes > SEEDS && seen.handovers > SEEDS);
    assert!(
        seen.woken_in_apply > SEEDS / 10 && seen.switches > SEEDS / 10,
        "{seen:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_moves() {
    for seed in 0..10 {
        let again = || run(projectors::world(seed, None)).map(|report| report.trace);
        assert_eq!(again(), again(), "seed {seed}");
    }
}

#[test]
fn whoever_was_overtaken_goes_on_at_once() {
    run(overtaken::world());
}

#[test]
fn what_nobody_works_on_is_taken_in() {
    run(stranded::world());
}

#[test]
fn of_two_builds_the_one_whose_version_is_live_works_at_once() {
    run(stranded::two_builds());
}

/// The first seed at which the checks notice.
fn found(bug: CheckpointBug) {
    let breach = (0..SEEDS).find_map(|seed| {
        let broken = run(projectors::world(seed, Some(bug))).err();
        broken.map(|breach| (seed, breach))
    });
    let (seed, breach) = breach.unwrap_or_else(|| panic!("{bug:?} was not found in {SEEDS} seeds"));
    println!("{bug:?} found at seed {seed}: {breach}");
}

#[test]
fn a_checkpoint_that_is_not_compared_is_found() {
    found(CheckpointBug::NotCompared);
}

#[test]
fn a_checkpoint_that_moves_in_another_transaction_is_found() {
    found(CheckpointBug::NotAtomic);
}

#[test]
fn a_process_that_runs_twice_has_each_effect_once() {
    let mut seen = process::Report::default();
    for seed in 0..SEEDS / 10 {
        let report = run(process::world(seed, process::Ids::OfCause));
        seen += report.unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
    }
    println!("{} seeds: {seen:?}", SEEDS / 10);
    assert!(seen.repeats > 0 && seen.woken_in_carry > 0, "{seen:?}");
}

#[test]
fn a_process_with_fresh_command_ids_is_found() {
    let found = (0..SEEDS / 10).find_map(|seed| run(process::world(seed, process::Ids::Fresh)).err());
    println!("{}", found.expect("found"));
}
