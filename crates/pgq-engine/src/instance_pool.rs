//! Idle instances between two jobs. They are kept for a while if their entrypoint asked for it, and
//! never prevent a fresh instance.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// An instance that has been idle for this long is dropped, so that an idle host holds no guest's
/// memory.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// All idle instances of a host, within the capacity of its allocator. The pool is generic: it does
/// not matter here what an instance is.
pub(super) struct InstancePool<I> {
    /// The most instances, including running ones.
    capacity: usize,
    instances: Mutex<Instances<I>>,
}

struct Instances<I> {
    /// Ordered by how long they have been idle, longest first.
    idle: VecDeque<Idle<I>>,
    running: usize,
}

struct Idle<I> {
    key: PoolKey,
    instance: I,
    since: Instant,
}

/// Which runs may use an instance: those of the same version of a plugin, on the same code, of the
/// same entrypoint and with the same limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolKey {
    /// [`PluginId::number`].
    pub(super) plugin: u64,
    /// Whether it runs on the plugin's optimised code.
    pub(super) optimised: bool,
    pub(super) entrypoint: Arc<str>,
    /// The memory limit that the instance was created with, in bytes.
    pub(super) memory: usize,
}

impl<I> InstancePool<I> {
    pub(super) fn new(capacity: usize) -> InstancePool<I> {
        let instances = Instances { idle: VecDeque::new(), running: 0 };
        InstancePool { capacity: capacity.max(1), instances: Mutex::new(instances) }
    }

    fn lock(&self) -> MutexGuard<'_, Instances<I>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for a run, and the most recently used idle instance with this key, if there is one.
    /// Otherwise the pool makes room for a fresh instance, by dropping the one that has been idle
    /// longest if necessary.
    pub(super) fn acquire(&self, key: &PoolKey) -> (Permit<'_, I>, Option<I>) {
        let mut instances = self.lock();
        let found = instances.idle.iter().rposition(|idle| idle.key == *key);
        let found = found.and_then(|at| instances.idle.remove(at)).map(|idle| idle.instance);
        if found.is_none() {
            // Dropped within the lock, so that an instance no longer counted really is gone.
            while instances.running + instances.idle.len() >= self.capacity && instances.idle.pop_front().is_some() {}
        }
        instances.running += 1;
        (Permit(self), found)
    }

    /// Drop all idle instances. Returns whether there were any.
    pub(super) fn clear(&self) -> bool {
        self.retain(|_| false) > 0
    }

    /// Drop instances that have been idle for too long.
    pub(super) fn sweep(&self) {
        self.drop_idle_for(MAX_IDLE);
    }

    fn drop_idle_for(&self, time: Duration) {
        let gone = self.retain(|idle| idle.since.elapsed() < time);
        if gone > 0 {
            tracing::debug!(instances = gone, "dropped instances that had been idle for too long");
        }
    }

    /// Returns how many were dropped.
    fn retain(&self, keep: impl Fn(&Idle<I>) -> bool) -> usize {
        let mut instances = self.lock();
        let before = instances.idle.len();
        if !instances.idle.iter().all(&keep) {
            instances.idle.retain(keep);
        }
        before - instances.idle.len()
    }
}

/// The permit of one run. It outlives the run's instance.
pub(super) struct Permit<'a, I>(&'a InstancePool<I>);

impl<I> Permit<'_, I> {
    /// Keep the run's instance for the next run.
    pub(super) fn keep(self, key: PoolKey, instance: I) {
        self.0.lock().idle.push_back(Idle { key, instance, since: Instant::now() });
    }
}

impl<I> Drop for Permit<'_, I> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

/// A loaded version of a plugin, as the pool identifies it. Dropping it drops the version's idle
/// instances.
pub(super) struct PluginId<I> {
    number: u64,
    pool: Weak<InstancePool<I>>,
}

impl<I> PluginId<I> {
    pub(super) fn new(pool: &Arc<InstancePool<I>>) -> PluginId<I> {
        PluginId::in_pool(Arc::downgrade(pool))
    }

    /// A new identity in the same pool, without this one's instances.
    pub(super) fn another(&self) -> PluginId<I> {
        PluginId::in_pool(Weak::clone(&self.pool))
    }

    fn in_pool(pool: Weak<InstancePool<I>>) -> PluginId<I> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        PluginId { number: NEXT.fetch_add(1, Ordering::Relaxed), pool }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl<I> Drop for PluginId<I> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retain(|idle| idle.key.plugin != self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pool = Arc<InstancePool<u32>>;

    fn pool(capacity: usize) -> Pool {
        Arc::new(InstancePool::new(capacity))
    }

    fn key(plugin: &PluginId<u32>, entrypoint: &str) -> PoolKey {
        PoolKey { plugin: plugin.number(), optimised: true, entrypoint: entrypoint.into(), memory: 1 << 20 }
    }

    /// Keep an instance, as a run with a fresh one does.
    fn keep(pool: &Pool, key: &PoolKey, instance: u32) {
        let (permit, found) = pool.acquire(key);
        assert_eq!(found, None);
        permit.keep(key.clone(), instance);
    }

    fn found(pool: &Pool, key: &PoolKey) -> Option<u32> {
        pool.acquire(key).1
    }

    #[test]
    fn an_instance_is_found_once_and_by_its_own_key_alone() {
        let pool = pool(10);
        let (plugin, other) = (PluginId::new(&pool), PluginId::new(&pool));
        let key = key(&plugin, "a");
        keep(&pool, &key, 7);
        for other in [
            PoolKey { plugin: other.number(), ..key.clone() },
            PoolKey { entrypoint: "b".into(), ..key.clone() },
            PoolKey { optimised: false, ..key.clone() },
            PoolKey { memory: 2 << 20, ..key.clone() },
        ] {
            assert_eq!(found(&pool, &other), None, "{other:?}");
        }
        assert_eq!(found(&pool, &key), Some(7));
        assert_eq!(found(&pool, &key), None);
    }

    #[test]
    fn the_instance_that_was_used_last_is_the_next_one() {
        let pool = pool(10);
        let plugin = PluginId::new(&pool);
        let key = key(&plugin, "a");
        let permits = [1, 2].map(|instance| (pool.acquire(&key).0, instance));
        for (permit, instance) in permits {
            permit.keep(key.clone(), instance);
        }
        assert_eq!(found(&pool, &key), Some(2));
    }

    #[test]
    fn what_is_kept_makes_room_for_a_fresh_one_and_the_oldest_goes_first() {
        let pool = pool(3);
        let plugin = PluginId::new(&pool);
        let [a, b, c] = ["a", "b", "c"].map(|entrypoint| key(&plugin, entrypoint));
        keep(&pool, &a, 1);
        keep(&pool, &b, 2);
        let (_running, none) = pool.acquire(&c);
        assert_eq!(none, None);
        // Two are idle and one runs, so the fourth replaces the first.
        let (_another, none) = pool.acquire(&c);
        assert_eq!(none, None);
        assert_eq!((found(&pool, &b), found(&pool, &a)), (Some(2), None));
    }

    #[test]
    fn a_run_of_one_that_is_kept_costs_no_other_its_instance() {
        let pool = pool(2);
        let plugin = PluginId::new(&pool);
        let (a, b) = (key(&plugin, "a"), key(&plugin, "b"));
        keep(&pool, &a, 1);
        keep(&pool, &b, 2);
        let (_running, instance) = pool.acquire(&a);
        assert_eq!(instance, Some(1));
        assert_eq!(found(&pool, &b), Some(2));
    }

    #[test]
    fn instances_go_with_their_plugin_and_no_others_do() {
        let pool = pool(10);
        let plugin = PluginId::new(&pool);
        let regranted = plugin.another();
        let (before, after) = (key(&plugin, "a"), key(&regranted, "a"));
        assert_ne!(before, after);
        keep(&pool, &before, 1);
        keep(&pool, &after, 2);
        drop(plugin);
        assert_eq!((found(&pool, &before), found(&pool, &after)), (None, Some(2)));
    }

    #[test]
    fn what_nobody_needed_for_long_goes_and_all_goes_when_told() {
        let pool = pool(10);
        let plugin = PluginId::new(&pool);
        let key = key(&plugin, "a");
        keep(&pool, &key, 1);
        pool.sweep();
        assert_eq!(found(&pool, &key), Some(1));
        keep(&pool, &key, 2);
        pool.drop_idle_for(Duration::ZERO);
        assert!(!pool.clear());
        keep(&pool, &key, 3);
        assert!(pool.clear());
        assert_eq!(found(&pool, &key), None);
    }
}
