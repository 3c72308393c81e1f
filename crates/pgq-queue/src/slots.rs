//! Where to begin the search for a free slot of an entrypoint's limit. From slot 0, each claim
//! would read over all that are taken, and all workers would race for the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ConcurrencyLimit;

/// What a worker remembers of each entrypoint's slots.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<Arc<str>, Hint>>);

#[derive(Debug, Clone, Copy)]
struct Hint {
    /// How many slots there are. With another limit, everything else is forgotten.
    slots: u32,
    /// The slot after the one that this worker took last; at first, a random one.
    next: u32,
    /// The longest run of taken slots that a search has passed. Others begin behind it, and come to it
    /// once nothing else is free.
    taken: Run,
}

/// Slots from one on, as many as these. The last is followed by the first.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    from: u32,
    length: u32,
}

impl Run {
    /// From one slot up to the other, without that.
    fn between(from: u32, to: u32, slots: u32) -> Run {
        Run { from, length: if to >= from { to - from } else { slots - from + to } }
    }

    /// The slot behind it, where a search for so many from this slot on would come to it at once;
    /// otherwise the slot itself.
    fn pass(self, slot: u32, wanted: u32, slots: u32) -> u32 {
        let is_within = Run::between(self.from, slot, slots).length < self.length;
        let is_near = self.length > wanted && Run::between(slot, self.from, slots).length < wanted;
        if is_within || is_near { (self.from + self.length) % slots } else { slot }
    }

    /// What is left of it without this slot: the longer part.
    fn without(self, slot: u32, slots: u32) -> Run {
        let before = Run::between(self.from, slot, slots);
        if before.length >= self.length {
            return self;
        }
        let after = Run { from: (slot + 1) % slots, length: self.length - before.length - 1 };
        if after.length > before.length { after } else { before }
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Hint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot to begin at, for a claim of so many jobs.
    pub(super) fn begin(&self, limited: &ConcurrencyLimit, wanted: usize) -> u32 {
        let (mut hints, slots) = (self.lock(), limited.concurrency.max(1));
        let draw = || Hint { slots, next: fastrand::u32(..slots), taken: Run::default() };
        let hint = hints.entry(Arc::clone(&limited.entrypoint)).or_insert_with(draw);
        if hint.slots != slots {
            *hint = Hint { slots, next: hint.next % slots, taken: Run::default() };
        }
        hint.taken.pass(hint.next, u32::try_from(wanted).unwrap_or(u32::MAX), slots)
    }

    /// A search that began there took these slots, in the order in which it found them.
    pub(super) fn took(&self, limited: &ConcurrencyLimit, begun: u32, found: impl IntoIterator<Item = u32>) {
        let mut hints = self.lock();
        let Some(hint) = hints.get_mut(&limited.entrypoint) else { return };
        let mut at = begun;
        for slot in found.into_iter().filter(|slot| *slot < hint.slots) {
            let passed = Run::between(at, slot, hint.slots);
            let known = hint.taken.without(slot, hint.slots);
            hint.taken = if passed.length > known.length { passed } else { known };
            at = (slot + 1) % hint.slots;
        }
        hint.next = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn limited(concurrency: u32) -> ConcurrencyLimit {
        ConcurrencyLimit { entrypoint: "e".into(), concurrency }
    }

    #[test]
    fn each_search_begins_after_the_slot_that_was_taken_last() {
        let slots = Slots::default();
        assert!(slots.begin(&limited(5), 1) < 5);
        slots.took(&limited(5), 3, [3]);
        assert_eq!(slots.begin(&limited(5), 1), 4);
        slots.took(&limited(5), 4, [4]);
        assert_eq!(slots.begin(&limited(5), 1), 0);
        slots.took(&limited(5), 0, [0, 1, 2, 3]);
        assert_eq!(slots.begin(&limited(3), 1), 1, "a limit that shrank");
    }

    /// Claims of ten beside 50,000 jobs that have all slots but a hundred, wherever those are.
    #[test]
    fn slots_that_stay_taken_are_passed_a_few_times_and_not_in_every_round() {
        const ALL: u32 = 50_100;
        for first_free in [0, 20_000, 50_000] {
            let free: BTreeSet<u32> = (first_free..first_free + 100).collect();
            let (slots, limit, mut passed) = (Slots::default(), limited(ALL), Vec::new());
            for _ in 0..1_000 {
                let begin = slots.begin(&limit, 10);
                let found: Vec<u32> = free.range(begin..).chain(free.range(..begin)).copied().take(10).collect();
                let beyond = |slot: u32| (slot + ALL - begin) % ALL;
                passed.push(found.last().map_or(0, |last| beyond(*last)));
                slots.took(&limit, begin, found);
            }
            let long = passed.iter().filter(|passed| **passed > 1_000).count();
            assert!(long <= 2, "{long} of 1,000 searches passed more than a thousand slots");
        }
    }

    #[test]
    fn a_slot_that_becomes_free_among_them_is_found_when_there_is_no_other() {
        let (slots, limit) = (Slots::default(), limited(10));
        slots.begin(&limit, 1);
        slots.took(&limit, 0, [7, 8, 9]);
        assert_eq!(slots.begin(&limit, 1), 7, "0 to 6 are taken");
        slots.took(&limit, 7, [2]);
        assert_eq!(slots.begin(&limit, 1), 3, "the longest run is that from 7 to 1 now");
        slots.took(&limit, 3, [7]);
        assert_eq!(slots.begin(&limit, 1), 2, "of which 8 to 1 are left");
    }
}
