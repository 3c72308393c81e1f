//! Instances between two jobs: kept because their entrypoint asked for it, for a while, and never in the way of a fresh one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::instance::Instance;

/// An instance that nobody needed for so long goes: an idle host holds no guest's memory.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// All idle instances of a host, oldest first, within what its allocator has room for.
pub(super) struct Warm {
    /// Instances, running ones included.
    places: usize,
    instances: Mutex<Instances>,
}

#[derive(Default)]
struct Instances {
    idle: VecDeque<Idle>,
    running: usize,
}

struct Idle {
    home: Home,
    instance: Instance,
    since: Instant,
}

/// Whose instance it is. Another version of a plugin is another tenant, and another entrypoint never sees its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) tenant: u64,
    pub(super) entrypoint: Arc<str>,
    /// The limit that the instance was made with.
    pub(super) memory: usize,
}

impl Warm {
    pub(super) fn new(places: usize) -> Warm {
        Warm { places: places.max(1), instances: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Instances> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a run, and the warm instance of this home that was used last, if there is one. Without one there is room for a
    /// fresh instance: the one that was idle for longest made it, if need be.
    pub(super) fn enter(&self, home: &Home) -> (Place<'_>, Option<Instance>) {
        let mut instances = self.lock();
        let found = instances.idle.iter().rposition(|idle| idle.home == *home);
        let found = found.and_then(|at| instances.idle.remove(at)).map(|idle| idle.instance);
        if found.is_none() {
            // Dropped within the lock: what counts as gone is gone.
            while instances.running + instances.idle.len() >= self.places && instances.idle.pop_front().is_some() {}
        }
        instances.running += 1;
        (Place(self), found)
    }

    /// Drop all that are idle. Whether there was any.
    pub(super) fn clear(&self) -> bool {
        let mut instances = self.lock();
        let any = !instances.idle.is_empty();
        instances.idle.clear();
        any
    }

    /// Drop those that nobody needed for long.
    pub(super) fn sweep(&self) {
        let gone = self.retain(|idle| idle.since.elapsed() < MAX_IDLE);
        if gone > 0 {
            tracing::debug!(instances = gone, "instances that nobody needed for long are gone");
        }
    }

    /// How many were not.
    fn retain(&self, keep: impl Fn(&Idle) -> bool) -> usize {
        let mut instances = self.lock();
        let before = instances.idle.len();
        if !instances.idle.iter().all(&keep) {
            instances.idle.retain(keep);
        }
        before - instances.idle.len()
    }
}

/// One run's. Lives longer than the run's instance.
pub(super) struct Place<'a>(&'a Warm);

impl Place<'_> {
    /// Keep the run's instance for the next one.
    pub(super) fn keep(self, home: Home, instance: Instance) {
        self.0.lock().idle.push_back(Idle { home, instance, since: Instant::now() });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

/// A loaded plugin's name here. Goes with the plugin, and takes the instances with it.
pub(super) struct Tenant {
    pub(super) id: u64,
    warm: Weak<Warm>,
}

impl Tenant {
    pub(super) fn new(warm: &Arc<Warm>) -> Tenant {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Tenant { id: NEXT.fetch_add(1, Ordering::Relaxed), warm: Arc::downgrade(warm) }
    }

    /// One of the same host, which has none of this one's instances.
    pub(super) fn another(&self) -> Tenant {
        self.warm.upgrade().map_or(Tenant { id: self.id, warm: Weak::new() }, |warm| Tenant::new(&warm))
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if let Some(warm) = self.warm.upgrade() {
            warm.retain(|idle| idle.home.tenant != self.id);
        }
    }
}
