//! The memory of all guests of a host together: the limit, the current use, and the queue of those
//! that wait for some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify};

/// A run starts when as much memory is free as earlier runs of its plugin used. If it needs more,
/// that has to be free when it asks.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
    given_back: Notify,
    /// Runs that have to wait do so in order. Otherwise a large run would never start beside many
    /// small ones.
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

/// All guests together have used up the memory. That is not this guest's fault, so its job is
/// requeued and the attempt does not count.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the guests of this host have used up their memory; raise max-guest-memory, or lower max-concurrent-tasks")]
pub(super) struct NoRoom;

impl Room {
    pub(super) fn new(most: usize) -> Arc<Room> {
        Arc::new(Room {
            most,
            taken: AtomicUsize::new(0),
            given_back: Notify::new(),
            turn: Mutex::new(()),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The bytes in use, including those reserved for runs.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether idle instances should be dropped, because a run waits for memory or soon will.
    pub(super) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0 || self.taken.load(Ordering::Acquire) > self.most / 8 * 7
    }

    /// Wait for this many free bytes, and take a share of them. `tidy` drops idle instances.
    pub(super) async fn enter(self: &Arc<Room>, bytes: usize, tidy: impl FnOnce()) -> RoomShare {
        let bytes = bytes.min(self.most);
        if self.waiting.load(Ordering::Acquire) > 0 || !self.take(bytes) {
            let _waiting = Waiting::new(self);
            let _turn = self.turn.lock().await;
            tidy();
            while !self.take(bytes) {
                self.given_back.notified().await;
            }
        }
        RoomShare { room: Arc::clone(self), bytes }
    }

    /// Take a share for bytes that already exist, even if that exceeds the limit. Others wait
    /// longer.
    pub(super) fn hold(self: &Arc<Room>, bytes: usize) -> RoomShare {
        self.taken.fetch_add(bytes, Ordering::AcqRel);
        RoomShare { room: Arc::clone(self), bytes }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::AcqRel);
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.given_back.notify_one();
        }
    }
}

struct Waiting<'a>(&'a Room);

impl Waiting<'_> {
    fn new(room: &Room) -> Waiting<'_> {
        room.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One guest's part of the room, or what it left behind that is not recorded yet.
#[derive(Debug)]
pub struct RoomShare {
    room: Arc<Room>,
    bytes: usize,
}

impl RoomShare {
    /// A separate room for one guest that does not affect others.
    pub(super) fn alone(bytes: usize) -> RoomShare {
        RoomShare { room: Room::new(bytes), bytes }
    }

    /// The most that it could have if it were alone.
    pub(super) fn most(&self) -> usize {
        self.room.most
    }

    /// Extend the share to at least this many bytes.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.room.take(more) {
            return Err(NoRoom);
        }
        self.bytes += more;
        Ok(())
    }

    /// Reduce the share to at most this many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.room.release(less);
    }
}

impl Drop for RoomShare {
    fn drop(&mut self) {
        self.room.release(self.bytes);
    }
}

/// How many bytes the runs of a plugin need: most of the recent ones needed no more.
#[derive(Debug, Default)]
pub(super) struct MemoryEstimate(AtomicUsize);

impl MemoryEstimate {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Record how many bytes a run used, or would have used. A large one is remembered for some
    /// dozens of small ones.
    pub(super) fn learn(&self, bytes: usize) {
        let known = self.bytes();
        self.0.store(bytes.max(known - known / 16), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_does_not_fit_waits_in_turn_and_small_ones_do_not_overtake() {
        let room = Room::new(100);
        let first = room.enter(60, || {}).await;
        let (mut large, mut small) = (pin!(room.enter(80, || {})), pin!(room.enter(10, || {})));
        assert!((&mut large).now_or_never().is_none() && (&mut small).now_or_never().is_none());
        assert!(room.is_short());
        drop(first);
        let (large, small) = tokio::join!(large, small);
        assert_eq!(room.taken(), 90);
        drop((large, small));
        assert_eq!((room.taken(), room.is_short()), (0, false));
    }

    #[tokio::test]
    async fn a_share_grows_while_there_is_room_and_what_waits_no_more_leaves_nothing_behind() {
        let room = Room::new(100);
        let mut share = room.enter(10, || {}).await;
        share.cover(70).expect("room");
        share.cover(70).expect("has it");
        let mut other = room.enter(0, || {}).await;
        other.cover(31).expect_err("no room");
        other.cover(30).expect("room");
        assert!(tokio::time::timeout(Duration::from_millis(1), room.enter(1, || {})).await.is_err());
        assert_eq!((room.taken(), room.waiting.load(Ordering::Acquire)), (100, 0));
        share.shrink(20);
        assert_eq!(room.taken(), 50);
        // A request for more than the limit would wait forever, so it gets everything there is.
        drop((share, other));
        assert_eq!(room.enter(1_000, || {}).await.bytes, 100);
    }

    #[tokio::test]
    async fn what_is_held_beyond_the_room_is_waited_for() {
        let room = Room::new(100);
        let held = [room.hold(80), room.hold(80)];
        assert!(room.enter(10, || {}).now_or_never().is_none());
        drop(held);
        let share = room.enter(10, || {}).await;
        assert_eq!((share.bytes, room.taken()), (10, 10));
    }

    #[test]
    fn a_large_run_is_remembered_and_forgotten() {
        let memory_estimate = MemoryEstimate::default();
        memory_estimate.learn(1 << 20);
        memory_estimate.learn(0);
        assert!(memory_estimate.bytes() > 900 << 10);
        (0..200).for_each(|_| memory_estimate.learn(0));
        assert!(memory_estimate.bytes() < 1 << 10);
    }
}
