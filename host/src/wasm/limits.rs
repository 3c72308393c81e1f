//! The limits of one run: what was set, how much memory is used over all its linear memories, and whether the limit was met.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter, Result};

/// The limits of one run, as the entrypoint's options and the operator's caps have it.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Wall time.
    pub timeout: Duration,
    /// Bytes over all memories.
    pub memory: usize,
    /// Told to the handler.
    pub max_attempts: u32,
}

/// wasmtime's own `StoreLimits` compares each memory separately, so that a guest with eight memories would have eight times the
/// limit. This one adds them up.
#[derive(Debug)]
pub(super) struct Limits {
    max_memory: usize,
    memory: usize,
    table_elements: usize,
    /// A request was refused. The guest then usually aborts, which looks like any other trap: this tells the two apart.
    pub(super) exhausted: Option<Exhausted>,
}

/// What there was not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    Memory,
    Tables,
}

/// Core instances in one component: far above what tool chains make, far below what would hurt.
const MAX_INSTANCES: usize = 200;
const MAX_TABLES: usize = 64;
const MAX_MEMORIES: usize = 16;
/// Over all tables.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

impl Limits {
    pub(super) fn new(max_memory: usize) -> Limits {
        Limits { max_memory, memory: 0, table_elements: 0, exhausted: None }
    }

    /// Bytes of linear memory. Memories never shrink, so this is the peak as well.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory {
            self.exhausted = Some(Exhausted::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: Error) -> Result<()> {
        // Counted in `memory_growing` but not granted by the allocator (its own cap): the run cannot have more either way.
        self.exhausted = Some(Exhausted::Memory);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            self.exhausted = Some(Exhausted::Tables);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: Error) -> Result<()> {
        self.exhausted = Some(Exhausted::Tables);
        Ok(())
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut limits = Limits::new(100);
        assert!(limits.memory_growing(0, 60, None).expect("no error"));
        assert!(limits.memory_growing(0, 40, None).expect("a second memory"));
        assert_eq!(limits.exhausted, None);
        assert!(!limits.memory_growing(40, 41, None).expect("refused, not an error"));
        assert_eq!(limits.exhausted, Some(Exhausted::Memory));
        assert_eq!(limits.memory(), 100);
    }

    #[test]
    fn tables_are_summed() {
        let mut limits = Limits::new(100);
        assert!(limits.table_growing(0, MAX_TABLE_ELEMENTS - 2, None).expect("no error"));
        assert!(limits.table_growing(0, 1, Some(1)).expect("a second table"));
        assert!(!limits.table_growing(1, 2, Some(1)).expect("its own maximum, not ours"));
        assert_eq!(limits.exhausted, None);
        assert!(!limits.table_growing(0, 2, None).expect("refused, not an error"));
        assert_eq!(limits.exhausted, Some(Exhausted::Tables));
    }
}
