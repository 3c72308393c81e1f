//! What a run of each component needs from the allocator's pool, and how it is shared.
//!
//! A slot suits components as tool chains build them. Components that need more only ever use a
//! reserved part of the pool, and their runs are counted: however many of those there are, all
//! other components have their slots. Core instances are not part of this, because the pool only
//! counts them and is configured for as many as there could be.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::Component;

/// Per slot. Today's tool chains produce one memory and up to three tables.
const MEMORIES: u32 = 2;
const TABLES: u32 = 4;
/// Per component, checked when it is loaded.
pub(super) const MAX_MEMORIES: u32 = 8;
pub(super) const MAX_TABLES: u32 = 32;
pub(super) const MAX_CORE_INSTANCES: u32 = 200;
/// How many plugins may describe themselves at a time while all slots are taken.
pub(super) const DESCRIBES: u32 = 2;

/// A number of memories and of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slots {
    pub(super) memories: u32,
    pub(super) tables: u32,
}

impl Slots {
    /// What the pool has for this many slots.
    pub(super) fn of_pool(places: u32) -> Slots {
        let Slots { memories, tables } = Slots::set_aside(places);
        Slots {
            memories: places.saturating_mul(MEMORIES).saturating_add(memories + DESCRIBES * MAX_MEMORIES),
            tables: places.saturating_mul(TABLES).saturating_add(tables + DESCRIBES * MAX_TABLES),
        }
    }

    /// How much of that is reserved for components that need more than a slot: at least enough for
    /// four of the largest.
    fn set_aside(places: u32) -> Slots {
        Slots { memories: (places / 4).max(4 * MAX_MEMORIES), tables: places.max(4 * MAX_TABLES) }
    }

    /// What a run of this component needs. If it cannot be determined, the maximum.
    fn of_component(component: &Component, counted: Option<Slots>) -> Slots {
        let needed = component.resources_required();
        let needed = needed.map(|needed| Slots { memories: needed.num_memories, tables: needed.num_tables });
        needed.or(counted).unwrap_or(Slots { memories: MAX_MEMORIES, tables: MAX_TABLES })
    }

    fn fits_a_place(self) -> bool {
        self.memories <= MEMORIES && self.tables <= TABLES
    }

    /// How often `need` fits into it.
    fn times(self, need: Slots) -> u32 {
        (self.memories / need.memories.max(1)).min(self.tables / need.tables.max(1))
    }
}

/// The reserved part of the pool, and how much of it is in use.
#[derive(Debug)]
pub(super) struct Shares {
    all: Slots,
    taken: Mutex<Slots>,
    /// How many components share it.
    large: AtomicU32,
}

impl Shares {
    pub(super) fn new(places: u32) -> Shares {
        Shares { all: Slots::set_aside(places), taken: Mutex::default(), large: AtomicU32::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A component that needs more than a slot.
#[derive(Debug)]
pub(super) struct LargeComponent {
    need: Slots,
    runs: AtomicU32,
    shares: Arc<Shares>,
}

impl LargeComponent {
    /// `None` if a slot has everything that it needs. `counted` is that, where wasmtime does not know.
    pub(super) fn of(
        component: &Component,
        counted: Option<Slots>,
        shares: &Arc<Shares>,
    ) -> Option<Arc<LargeComponent>> {
        LargeComponent::new(Slots::of_component(component, counted), shares)
    }

    fn new(need: Slots, shares: &Arc<Shares>) -> Option<Arc<LargeComponent>> {
        if need.fits_a_place() {
            return None;
        }
        shares.large.fetch_add(1, Ordering::AcqRel);
        Some(Arc::new(LargeComponent { need, runs: AtomicU32::new(0), shares: Arc::clone(shares) }))
    }

    /// How many more runs of it there is room for: what is free, but at most an equal part for each
    /// such component.
    pub(super) fn room(&self) -> u32 {
        let taken = *self.shares.lock();
        let all = self.shares.all;
        let free = Slots {
            memories: all.memories.saturating_sub(taken.memories),
            tables: all.tables.saturating_sub(taken.tables),
        };
        let part = (all.times(self.need) / self.shares.large.load(Ordering::Acquire).max(1)).max(1);
        free.times(self.need).min(part.saturating_sub(self.runs.load(Ordering::Acquire)))
    }
}

impl Drop for LargeComponent {
    fn drop(&mut self) {
        self.shares.large.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The part of one run, until it is dropped.
#[derive(Debug)]
pub struct PoolShare(Arc<LargeComponent>);

impl PoolShare {
    pub(super) fn take(large: &Arc<LargeComponent>) -> PoolShare {
        let mut taken = large.shares.lock();
        taken.memories += large.need.memories;
        taken.tables += large.need.tables;
        large.runs.fetch_add(1, Ordering::AcqRel);
        drop(taken);
        PoolShare(Arc::clone(large))
    }
}

impl Drop for PoolShare {
    fn drop(&mut self) {
        let mut taken = self.0.shares.lock();
        taken.memories -= self.0.need.memories;
        taken.tables -= self.0.need.tables;
        self.0.runs.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_component_leaves_a_run_to_each_other_and_gives_back_what_it_took() {
        let shares = Arc::new(Shares::new(100));
        assert!(LargeComponent::new(Slots { memories: 1, tables: 3 }, &shares).is_none(), "as tool chains make them");
        let need = Slots { memories: 8, tables: 1 };
        let one = LargeComponent::new(need, &shares).expect("large");
        assert_eq!(one.room(), 4);
        let other = LargeComponent::new(need, &shares).expect("large");
        assert_eq!((one.room(), other.room()), (2, 2));
        let runs = [PoolShare::take(&one), PoolShare::take(&one)];
        assert_eq!((one.room(), other.room()), (0, 2));
        drop(runs);
        drop(other);
        assert_eq!(one.room(), 4);
    }

    #[test]
    fn the_pool_has_all_that_can_be_taken() {
        for places in [1, 100, 5_000] {
            let (pool, aside) = (Slots::of_pool(places), Slots::set_aside(places));
            assert!(
                pool.memories >= places * MEMORIES + aside.memories && pool.tables >= places * TABLES + aside.tables
            );
        }
    }
}
