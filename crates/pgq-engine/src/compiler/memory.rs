//! How much memory compilers may use: together at most half of what the host may use, so that they
//! cannot take the host down.

use crate::host_memory;

/// The most heap of one compiler. The largest components in practice, those written in Python, need
/// about 1 GiB.
const MAX_HEAP: u64 = 4 << 30;
/// If two compilers would have less than this each, only one runs at a time.
const MIN_SHARED_HEAP: u64 = 2 << 30;
/// With less than this, nothing can be compiled at all.
const MIN_HEAP: u64 = 256 << 20;

/// The memory for compilers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompilerMemory {
    pub(super) at_once: usize,
    pub(super) bytes: u64,
}

impl CompilerMemory {
    /// For this machine or container.
    pub(super) fn here() -> CompilerMemory {
        CompilerMemory::within(host_memory::limit())
    }

    fn within(limit: u64) -> CompilerMemory {
        let half = limit / 2;
        let at_once = if half >= 2 * MIN_SHARED_HEAP { 2 } else { 1 };
        CompilerMemory { at_once, bytes: (half / at_once as u64).clamp(MIN_HEAP, MAX_HEAP) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_together_leave_the_host_half_of_its_memory() {
        for (limit, at_once, bytes) in
            [(1 << 30, 1, 512 << 20), (2 << 30, 1, 1 << 30), (8 << 30, 2, 2 << 30), (64 << 30, 2, 4 << 30)]
        {
            let memory = CompilerMemory::within(limit);
            assert_eq!(memory, CompilerMemory { at_once, bytes });
            assert!(memory.at_once as u64 * memory.bytes <= limit / 2);
        }
        assert_eq!(CompilerMemory::within(64 << 20), CompilerMemory { at_once: 1, bytes: MIN_HEAP });
    }
}
