//! Medians with bootstrap intervals. Ratios of pairs, never of means: what disturbs the machine
//! disturbs both halves of a pair.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Resamples of the bootstrap; the ends of a 95 % interval are steady to the second digit with this many.
const RESAMPLES: usize = 10_000;
/// The same numbers give the same interval.
const SEED: u64 = 0xdab0;

/// A median and its 95 % percentile-bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// How many samples it rests on.
    pub(crate) samples: usize,
}

impl Estimate {
    /// Of these samples; `None` when there is none.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        if samples.is_empty() {
            return None;
        }
        let mut random = StdRng::seed_from_u64(SEED);
        let mut resample = vec![0.0; samples.len()];
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                for place in &mut resample {
                    *place = samples[random.random_range(0..samples.len())];
                }
                median(&mut resample)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        Some(Self {
            median: median(&mut samples.to_vec()),
            low: medians[RESAMPLES * 25 / 1_000],
            high: medians[RESAMPLES * 975 / 1_000 - 1],
            samples: samples.len(),
        })
    }

    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Sorts `samples`, which must not be empty.
fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 {
        samples[middle]
    } else {
        f64::midpoint(samples[middle - 1], samples[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_ones() {
        assert!((median(&mut [4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < f64::EPSILON);
        assert!((median(&mut [9.0, 1.0, 3.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_the_spread() {
        let wide = Estimate::of(&[0.5, 0.8, 1.0, 1.2, 1.5, 0.7, 1.3, 1.0, 0.9, 1.1]).expect("samples");
        let tight = Estimate::of(&[1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.0, 1.01, 0.99]).expect("samples");
        assert!(wide.contains(wide.median) && tight.contains(1.0));
        assert!(tight.high - tight.low < wide.high - wide.low);
        assert!(!tight.contains(1.1));
    }

    /// A percentile bootstrap of the median covers the truth about as often as it says.
    #[test]
    fn the_interval_covers_the_truth() {
        let mut random = StdRng::seed_from_u64(1);
        let covered = (0..60)
            .filter(|_| {
                let samples: Vec<f64> = (0..10).map(|_| random.random_range(0.5..1.5)).collect();
                Estimate::of(&samples).expect("samples").contains(1.0)
            })
            .count();
        assert!(covered >= 50, "{covered} of 60");
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(Estimate::of(&[]), None);
    }
}
