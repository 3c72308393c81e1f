//! The memory account of one store: its limit, its linear memory, what the host holds for it, and
//! whether a limit was hit.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter, Result};

use super::room::{NoRoom, RoomShare};

/// The limits of one run: the entrypoint's options under the operator's caps.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// The limit on wall time.
    pub timeout: Duration,
    /// The limit in bytes on all memories plus what the host holds.
    pub memory: usize,
    pub max_attempts: u32,
}

/// One account for everything: linear memories, which wasmtime's own `StoreLimits` would limit one
/// by one, and what the host holds for the guest (`holdings`). The latter is counted only now and
/// then. Until the next count, all bytes passed to the host count as held.
#[derive(Debug)]
pub(super) struct Limits {
    max_memory: usize,
    memory: usize,
    /// Bytes held by the host at the last count.
    held: usize,
    /// Bytes passed to the host since then, at most.
    passed: usize,
    /// How many of those were passed in the last call.
    last: usize,
    /// How many of those are known to be held.
    since: usize,
    table_elements: usize,
    share: RoomShare,
    /// A request was denied. The guest then usually aborts, which looks like any other trap. This
    /// tells the two apart.
    pub(super) exhausted: Option<Exhausted>,
    /// The most bytes that it had, or was denied because the host had no more.
    peak: usize,
    /// In the last call of the host, fewer bytes than usual could be passed, because no more were
    /// left.
    squeezed: bool,
}

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    Memory,
    Tables,
}

/// Ends a guest for which the host would hold too much.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host already holds as much for the run as its memory limit allows")]
pub(super) struct HoldsTooMuch;

/// Core instances in one component: far above what tool chains produce, far below what would do
/// harm.
const MAX_INSTANCES: usize = 200;
const MAX_TABLES: usize = 64;
const MAX_MEMORIES: usize = 16;
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// What the host may hold for a guest that uses all of its memory. Without it, such a guest could
/// not even report that.
const HOST_SHARE: usize = 1 << 20;
/// When more bytes than this have been passed to the host, it counts again what it holds.
const UNCOUNTED: usize = 4 << 20;

impl Limits {
    /// Limits for a store. If its share of the room is smaller than the limit, the share is the
    /// limit.
    pub(super) fn new(max_memory: usize, share: RoomShare) -> Limits {
        let max_memory = max_memory.min(share.most());
        Limits {
            max_memory,
            memory: 0,
            held: 0,
            passed: 0,
            last: 0,
            since: 0,
            table_elements: 0,
            share,
            exhausted: None,
            peak: 0,
            squeezed: false,
        }
    }

    /// Bytes of linear memory. Memories never shrink, so this is also the peak.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn max_memory(&self) -> usize {
        self.max_memory
    }

    /// The most bytes at any time, in linear memory and held by the host, including a request that
    /// was denied.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Allow the guest to pass `bytes` in a call of the host. If this returns false, the host must
    /// count what it holds first.
    pub(super) fn pass(&mut self, bytes: usize) -> bool {
        let passed = self.passed.saturating_add(bytes);
        // A single call may pass more than that. Then counting first would not help, and `settle`
        // says how much it really was.
        let may = self.since <= UNCOUNTED && (passed <= UNCOUNTED || self.passed == 0) && passed <= self.left();
        if may {
            (self.passed, self.last, self.squeezed) = (passed, bytes, false);
        }
        may
    }

    /// The last call passed less than it could have: the host holds `more` bytes more.
    pub(super) fn settle(&mut self, more: usize) {
        self.passed = self.passed.saturating_sub(std::mem::take(&mut self.last));
        self.held = self.held.saturating_add(more);
        self.since = self.since.saturating_add(more);
    }

    /// The host holds this many bytes for the guest.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        (self.held, self.passed, self.last, self.since) = (bytes, 0, 0, 0);
        self.cover(self.memory.saturating_add(bytes))
    }

    /// Right after `hold`: allow the guest to pass `bytes`, or whatever is left.
    pub(super) fn pass_what_is_left(&mut self, bytes: usize) -> Result<usize, HoldsTooMuch> {
        let left = bytes.min(self.left());
        if left == 0 {
            self.exhausted = Some(Exhausted::Memory);
            return Err(HoldsTooMuch);
        }
        (self.passed, self.last, self.squeezed) = (left, left, left < bytes);
        Ok(left)
    }

    /// Whether, in the last call of the host, fewer bytes than usual could be passed.
    pub(super) fn is_squeezed(&self) -> bool {
        self.squeezed
    }

    /// The run is over but its instance is kept: reduce its share to what it uses.
    pub(super) fn rest(&mut self) {
        self.share.shrink(self.memory.saturating_add(self.held));
    }

    /// How much more the host may hold.
    pub(super) fn left(&self) -> usize {
        self.max_memory.saturating_add(HOST_SHARE).saturating_sub(self.memory.saturating_add(self.held))
    }

    fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.peak = self.peak.max(bytes);
        self.share.cover(bytes.min(self.share.most()))
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let with_held = total.saturating_add(self.held);
        if total > self.max_memory || with_held > self.max_memory.saturating_add(HOST_SHARE) {
            self.exhausted = Some(Exhausted::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.cover(with_held)?;
        self.memory = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        if error.is::<NoRoom>() {
            return Err(error);
        }
        // Counted in `memory_growing`, but the allocator refused it because of its own cap. The run
        // cannot have more either way.
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

    fn limits(max_memory: usize) -> Limits {
        Limits::new(max_memory, RoomShare::alone(1 << 30))
    }

    #[test]
    fn memories_are_summed() {
        let mut limits = limits(100);
        assert!(limits.memory_growing(0, 60, None).expect("no error"));
        assert!(limits.memory_growing(0, 40, None).expect("a second memory"));
        assert_eq!(limits.exhausted, None);
        assert!(!limits.memory_growing(40, 41, None).expect("refused, not an error"));
        assert_eq!(limits.exhausted, Some(Exhausted::Memory));
        assert_eq!(limits.memory(), 100);
    }

    #[test]
    fn what_the_host_holds_and_linear_memory_are_one_account() {
        let mut limits = limits(8 << 20);
        assert!(limits.memory_growing(0, 4 << 20, None).expect("no error"));
        assert!(limits.pass(3 << 20));
        // Bytes passed are not necessarily held; only a count can tell.
        assert!(!limits.pass(3 << 20));
        limits.hold(2 << 20).expect("room");
        assert!(limits.pass(3 << 20));
        assert!(!limits.pass(1));
        limits.hold(5 << 20).expect("room");
        assert_eq!(limits.exhausted, None);
        limits.pass_what_is_left(1).expect_err("all is used");
        assert_eq!(limits.exhausted, Some(Exhausted::Memory));
        assert!(!limits.memory_growing(4 << 20, 5 << 20, None).expect("refused, not an error"));
        limits.hold(0).expect("room");
        assert!(limits.memory_growing(4 << 20, 8 << 20, None).expect("no error"));
        // The bytes passed in one call may all have been dropped.
        limits.hold(0).expect("room");
        limits.settle(0);
        // All its memory is in use, and it can still report that.
        limits.hold(0).expect("room");
        assert_eq!(limits.pass_what_is_left(64 << 10).expect("its host share"), 64 << 10);
    }

    #[test]
    fn a_small_room_is_the_limit_and_a_full_one_an_error() {
        let limits = Limits::new(100, RoomShare::alone(10));
        assert_eq!(limits.max_memory(), 10);
        let room = super::super::room::Room::new(100);
        let share = || futures_util::FutureExt::now_or_never(room.enter(0, || {})).expect("room");
        let (mut one, mut other) = (Limits::new(100, share()), Limits::new(100, share()));
        assert!(one.memory_growing(0, 60, None).expect("room"));
        assert!(other.memory_growing(0, 60, None).expect_err("no room").is::<NoRoom>());
        assert_eq!((other.exhausted, other.peak()), (None, 60));
        drop(one);
        assert!(other.memory_growing(0, 60, None).expect("room again"));
    }

    #[test]
    fn tables_are_summed() {
        let mut limits = limits(100);
        assert!(limits.table_growing(0, MAX_TABLE_ELEMENTS - 2, None).expect("no error"));
        assert!(limits.table_growing(0, 1, Some(1)).expect("a second table"));
        assert!(!limits.table_growing(1, 2, Some(1)).expect("its own maximum, not ours"));
        assert_eq!(limits.exhausted, None);
        assert!(!limits.table_growing(0, 2, None).expect("refused, not an error"));
        assert_eq!(limits.exhausted, Some(Exhausted::Tables));
    }
}
