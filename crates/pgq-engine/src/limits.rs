//! The account of one store: what it may have, what it has in linear memory and in the host's
//! hands, and whether a limit was met.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter, Result};

use super::room::{NoRoom, RoomShare};

/// The limits of one run, as the entrypoint's options and the operator's caps have it.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Wall time.
    pub timeout: Duration,
    /// Bytes over all memories, and in the host's hands.
    pub memory: usize,
    pub max_attempts: u32,
}

/// One account for everything: linear memories, each of which wasmtime's own `StoreLimits` would
/// compare separately, and what the host holds for the guest (`holdings`). The latter is counted
/// now and then; what was passed to the host since counts as if all of it were held.
#[derive(Debug)]
pub(super) struct Limits {
    max_memory: usize,
    memory: usize,
    /// In the host's hands when it was last counted.
    held: usize,
    /// Passed to the host since, at most.
    passed: usize,
    /// Of that, in the last call.
    last: usize,
    /// Known to be held since.
    since: usize,
    table_elements: usize,
    share: RoomShare,
    /// A request was refused. The guest then usually aborts, which looks like any other trap: this
    /// tells the two apart.
    pub(super) exhausted: Option<Exhausted>,
    /// The most that it had, or was refused for want of room.
    peak: usize,
    /// The last call of the host could pass less than others can, for there was no more left.
    squeezed: bool,
}

/// What there was not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    Memory,
    Tables,
}

/// The end of a guest for which the host would hold too much.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host holds as much for the run as its memory limit allows")]
pub(super) struct HoldsTooMuch;

/// Core instances in one component: far above what tool chains make, far below what would hurt.
const MAX_INSTANCES: usize = 200;
const MAX_TABLES: usize = 64;
const MAX_MEMORIES: usize = 16;
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// What the host may hold for a guest that has all of its memory in use: without it, such a guest
/// could not even say so.
const HOST_SHARE: usize = 1 << 20;
/// So many bytes may have been passed to the host before it counts what it holds.
const UNCOUNTED: usize = 4 << 20;

impl Limits {
    /// A share of the room that is smaller than the limit is the limit.
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

    /// Bytes of linear memory. Memories never shrink, so this is the peak as well.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn max_memory(&self) -> usize {
        self.max_memory
    }

    /// The most that it had at a time, linear memory and what the host held, or would have had.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Let the guest pass so many bytes in a call of the host. Not before what the host holds was
    /// counted again, if it says no.
    pub(super) fn pass(&mut self, bytes: usize) -> bool {
        let passed = self.passed.saturating_add(bytes);
        // A single call may pass more than that: then there is nothing to wait for but its own word
        // (`settle`).
        let may = self.since <= UNCOUNTED && (passed <= UNCOUNTED || self.passed == 0) && passed <= self.left();
        if may {
            (self.passed, self.last, self.squeezed) = (passed, bytes, false);
        }
        may
    }

    /// The last call did not pass all that it might have: the host holds so many bytes more.
    pub(super) fn settle(&mut self, more: usize) {
        self.passed = self.passed.saturating_sub(std::mem::take(&mut self.last));
        self.held = self.held.saturating_add(more);
        self.since = self.since.saturating_add(more);
    }

    /// The host holds so many bytes for the guest.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        (self.held, self.passed, self.last, self.since) = (bytes, 0, 0, 0);
        self.cover(self.memory.saturating_add(bytes))
    }

    /// Right after `hold`: let the guest pass so many bytes, or what is left.
    pub(super) fn pass_what_is_left(&mut self, bytes: usize) -> Result<usize, HoldsTooMuch> {
        let left = bytes.min(self.left());
        if left == 0 {
            self.exhausted = Some(Exhausted::Memory);
            return Err(HoldsTooMuch);
        }
        (self.passed, self.last, self.squeezed) = (left, left, left < bytes);
        Ok(left)
    }

    /// Whether the last call of the host could pass less than others can.
    pub(super) fn is_squeezed(&self) -> bool {
        self.squeezed
    }

    /// The run is over, and its instance kept: it has what it uses, not what was set aside for it.
    pub(super) fn rest(&mut self) {
        self.share.shrink(self.memory.saturating_add(self.held));
    }

    /// What the host may still come to hold.
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
        // Counted in `memory_growing` but not granted by the allocator (its own cap): the run
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
        // Passed is not held; that is for a count to say.
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
        // What one call passed, it may have passed for nothing.
        limits.hold(0).expect("room");
        limits.settle(0);
        // All memory in use, and it can still say so.
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
