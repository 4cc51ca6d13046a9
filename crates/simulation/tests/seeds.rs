//! Seeds by the thousand, each seeded bug by the first seed that notices it.

use std::num::NonZero;
use std::thread::available_parallelism;

use simulation::{Bug, Found, Statistics, run, sweep};

/// In every run of the tests; `SIMULATION_SEEDS` asks for more.
const SEEDS: u64 = 2_000;

fn seeds() -> u64 {
    std::env::var("SIMULATION_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(SEEDS)
}

fn swept(bug: Option<Bug>) -> Result<Statistics, Found> {
    let threads = available_parallelism().map_or(1, NonZero::get);
    sweep(0..seeds(), bug, threads, || ())
}

#[test]
fn no_seed_breaks_an_invariant() {
    let happened = swept(None)
        .unwrap_or_else(|Found { seed, failing }| panic!("seed {seed}: {failing}; `make sim SEED={seed}`"));
    println!("{happened}");
    // It must really have happened, or the runs prove nothing.
    let (seeds, checked) = (happened.seeds, happened.checked);
    assert_eq!(seeds, self::seeds());
    assert!(checked.accepted > 20 * seeds && checked.replayed > seeds && checked.refused > 3 * seeds);
    assert!(checked.unknown > seeds && checked.not_attempted > 10 * seeds);
    assert!(checked.unknown_written > 0 && checked.unknown_written < checked.unknown);
    assert!(checked.terms > 3 * seeds && checked.fences > checked.terms && checked.void > seeds / 2);
    assert!(happened.crashes > seeds && happened.restarts > seeds / 2 && happened.freezes > seeds / 2);
    assert!(happened.rebalances > seeds && happened.duels > seeds / 2);
    assert!(happened.clock_jumps > seeds / 2 && happened.log_away > seeds / 2);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        // Not `assert_eq`: a trace is long.
        assert!(run(seed, None).trace() == run(seed, None).trace(), "seed {seed}");
    }
    assert!(run(1, None).trace() != run(2, None).trace());
}

#[test]
fn each_seeded_bug_is_found() {
    for bug in Bug::ALL {
        match swept(Some(bug)) {
            Ok(_) => panic!("{bug:?} was not found in {} seeds", seeds()),
            Err(Found { seed, failing }) => println!("{bug:?}: seed {seed}: {failing}"),
        }
    }
}
