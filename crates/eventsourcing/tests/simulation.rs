//! Two nodes that both believe, clients that repeat, a log that misbehaves; one thread, one seed.
//! Every run is checked against invariants I1 to I5, and known bugs must be found by the checks.

mod simulation {
    pub(crate) mod check;
    pub(crate) mod world;
}

use eventsourcing::owner::SeededBug;
use simulation::check::check;
use simulation::world::run;

const SEEDS: u64 = 2_000;

fn seeds() -> u64 {
    std::env::var("SIMULATION_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(SEEDS)
}

#[test]
fn no_seed_breaks_an_invariant() {
    let (mut accepted, mut refused, mut unknown, mut terms) = (0, 0, 0, 0);
    for seed in 0..seeds() {
        let history = run(seed, None);
        let report = check(&history).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
        accepted += report.accepted;
        refused += report.refused;
        unknown += report.unknown;
        terms += report.terms;
    }
    println!(
        "{} seeds: {accepted} accepted, {refused} refused, {unknown} unknown, {terms} terms",
        seeds()
    );
    // The faults must really have happened, or the run proves nothing.
    assert!(accepted > seeds() * 20 && refused > seeds() && unknown > seeds() / 10 && terms > seeds() * 3);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        assert_eq!(run(seed, None).trace(), run(seed, None).trace(), "seed {seed}");
    }
    assert_ne!(run(1, None).trace(), run(2, None).trace());
}

/// The first seed at which the checks notice, and what they say.
fn found(bug: SeededBug) -> (u64, String) {
    (0..seeds())
        .find_map(|seed| check(&run(seed, Some(bug))).err().map(|breach| (seed, breach)))
        .unwrap_or_else(|| panic!("{bug:?} was not found in {} seeds", seeds()))
}

macro_rules! each_bug_is_found {
    ($($name:ident: $bug:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let (seed, breach) = found(SeededBug::$bug);
                println!("{:?} found at seed {seed}: {breach}", SeededBug::$bug);
            }
        )*
    };
}

each_bug_is_found! {
    an_acknowledgement_before_delivery_is_found: AckBeforeDelivery,
    ignored_fencing_is_found: FencingIgnored,
    a_dropped_dedupe_is_found: DedupeDropped,
    a_refusal_from_stale_state_is_found: StaleRefusal,
    an_unknown_outcome_taken_for_lost_is_found: UnknownMeansLost,
    a_missing_barrier_is_found: NoBarrier,
    an_early_eviction_is_found: EvictedEarly,
    a_cold_aggregate_taken_for_new_is_found: ColdMeansNew,
}
