//! Rule R: which records of a partition are valid. Every reader of all time applies it, in offset
//! order, and they all agree, because a verdict depends on nothing but the records before it.
//!
//! ```text
//! fence with epoch = current + 1             opens its epoch; its owner is the only writer now
//! fence with epoch = LAST, not yet sealed    seals the partition: everything behind it is void
//! any other fence                            void
//! event with (epoch, owner) = current        accepted
//! any other event                            void (a zombie's, or in doubt when its owner re-fenced)
//! ```

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, OwnerId};

/// Who may write, and in which epoch. A fence claims a term; an event is written in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The epoch.
    pub epoch: Epoch,
    /// The owner.
    pub owner: OwnerId,
}

/// What a record says of itself, as far as R cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A fence that would open this term.
    Fence(Term),
    /// An event written in this term.
    Event(Term),
}

/// R's answer about one record. Final once the record lies below the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A fence that opened its term.
    Opened,
    /// An event that happened.
    Accepted,
    /// A fence or an event that never counted.
    Void,
}

/// The state R keeps while it scans one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    current: Option<Term>,
}

impl Rule {
    /// R as it stands after a prefix whose last valid fence opened `current`.
    #[must_use]
    pub const fn resumed(current: Option<Term>) -> Self {
        Self { current }
    }

    /// The term now open; `None` before the first fence.
    pub const fn current(&self) -> Option<Term> {
        self.current
    }

    /// The epoch now open; 0 before the first fence.
    pub fn epoch(&self) -> Epoch {
        self.current.map_or(Epoch(0), |term| term.epoch)
    }

    /// Whether the last fence there can be was read: nothing after it is ever valid.
    pub fn is_sealed(&self) -> bool {
        self.epoch() >= Epoch::LAST
    }

    /// The verdict on the next record of the partition.
    pub fn judge(&mut self, claim: Claim) -> Verdict {
        match claim {
            Claim::Fence(_) | Claim::Event(_) if self.is_sealed() => Verdict::Void,
            Claim::Fence(term) if term.epoch == self.epoch().next() || term.epoch == Epoch::LAST => {
                self.current = Some(term);
                Verdict::Opened
            }
            Claim::Event(term) if self.current == Some(term) => Verdict::Accepted,
            Claim::Fence(_) | Claim::Event(_) => Verdict::Void,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn term(epoch: u64, owner: u128) -> Term {
        Term {
            epoch: Epoch(epoch),
            owner: OwnerId(Uuid::from_u128(owner)),
        }
    }

    #[test]
    fn of_two_fences_for_one_epoch_the_first_wins() {
        let mut rule = Rule::default();
        assert_eq!(rule.judge(Claim::Fence(term(1, 1))), Verdict::Opened);
        assert_eq!(rule.judge(Claim::Fence(term(1, 2))), Verdict::Void);
        assert_eq!(rule.judge(Claim::Event(term(1, 2))), Verdict::Void);
        assert_eq!(rule.judge(Claim::Event(term(1, 1))), Verdict::Accepted);
    }

    #[test]
    fn a_fence_cannot_skip_an_epoch() {
        let mut rule = Rule::default();
        assert_eq!(rule.judge(Claim::Fence(term(2, 1))), Verdict::Void);
        assert_eq!(rule.current(), None);
    }

    #[test]
    fn a_deposed_owner_is_void_from_the_fence_on() {
        let mut rule = Rule::default();
        rule.judge(Claim::Fence(term(1, 1)));
        rule.judge(Claim::Fence(term(2, 2)));
        assert_eq!(rule.judge(Claim::Event(term(1, 1))), Verdict::Void);
        assert_eq!(
            rule.judge(Claim::Fence(term(1, 1))),
            Verdict::Void,
            "a late fence is void"
        );
    }

    #[test]
    fn the_last_fence_opens_whatever_was_open_and_nothing_follows() {
        let last = Epoch::LAST.0;
        for open in [0, 1, 7] {
            let mut rule = Rule::default();
            (1..=open).for_each(|epoch| {
                rule.judge(Claim::Fence(term(epoch, 1)));
            });
            assert_eq!(rule.judge(Claim::Fence(term(last, 9))), Verdict::Opened);
            assert!(rule.is_sealed());
            for late in [
                Claim::Event(term(open, 1)),
                Claim::Event(term(last, 9)),
                Claim::Fence(term(open + 1, 2)),
                Claim::Fence(term(last, 2)),
                Claim::Fence(term(last + 1, 2)),
                Claim::Fence(term(u64::MAX, 2)),
            ] {
                assert_eq!(rule.judge(late), Verdict::Void, "{late:?}");
            }
            assert_eq!(rule.current(), Some(term(last, 9)));
        }
        assert_eq!(Epoch::LAST.next(), Epoch::LAST, "no overflow");
    }

    /// Small epochs, and those around the last one.
    fn epochs() -> impl Strategy<Value = u64> {
        let last = Epoch::LAST.0;
        prop_oneof![6 => 0..6u64, 1 => last - 1..=last + 1, 1 => Just(u64::MAX)]
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim = (any::<bool>(), epochs(), 0..3u128).prop_map(|(fence, epoch, owner)| {
            if fence {
                Claim::Fence(term(epoch, owner))
            } else {
                Claim::Event(term(epoch, owner))
            }
        });
        proptest::collection::vec(claim, 0..60)
    }

    proptest! {
        /// After the last fence nothing counts, and before it the verdicts are those of the rule without it.
        #[test]
        fn a_seal_ends_the_partition_and_changes_nothing_before_it(before in claims(), after in claims()) {
            let mut rule = Rule::default();
            for claim in before {
                let sealed = rule.is_sealed();
                let open = rule.current();
                let verdict = rule.judge(claim);
                let expected = match claim {
                    _ if sealed => Verdict::Void,
                    Claim::Fence(term) if term.epoch == Epoch::LAST => Verdict::Opened,
                    Claim::Fence(term) if term.epoch.0 == open.map_or(0, |open| open.epoch.0) + 1 => Verdict::Opened,
                    Claim::Event(term) if Some(term) == open => Verdict::Accepted,
                    Claim::Fence(_) | Claim::Event(_) => Verdict::Void,
                };
                prop_assert_eq!(verdict, expected);
            }
            rule.judge(Claim::Fence(term(Epoch::LAST.0, 1)));
            prop_assert!(rule.is_sealed());
            let sealed = rule;
            for claim in after {
                prop_assert_eq!(rule.judge(claim), Verdict::Void);
            }
            prop_assert_eq!(rule, sealed);
        }

        /// Resuming from a checkpoint gives the verdicts of the whole scan.
        #[test]
        fn a_resumed_scan_agrees(
            claims in claims(),
            cut in 0..60usize,
        ) {
            let cut = cut.min(claims.len());
            let mut whole = Rule::default();
            let verdicts: Vec<_> = claims.iter().map(|claim| whole.judge(*claim)).collect();
            let mut first = Rule::default();
            claims[..cut].iter().for_each(|claim| { first.judge(*claim); });
            let mut second = Rule::resumed(first.current());
            let tail: Vec<_> = claims[cut..].iter().map(|claim| second.judge(*claim)).collect();
            prop_assert_eq!(&verdicts[cut..], &tail[..]);
        }
    }
}
