//! The queue of loads: a few run at a time, with a bound on the bytes of files in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::loader::Loader;
use crate::plugins::{Folder, Loading, LookedAt};
use pgq_engine::host_memory;

/// Loads at a time. Each has a thread, and most of them wait for a compiler while the others load
/// code that is already compiled.
const AT_A_TIME: usize = 16;
/// The most bytes of files in memory at a time. One file always fits.
const BYTES: u64 = 192 << 20;
/// The files use at most this fraction (one eighth) of the memory that the host may use.
const PART: u64 = 8;

#[derive(Debug)]
pub(super) struct Loads {
    waiting: VecDeque<(Loading, Arc<Folder>)>,
    running: JoinSet<LookedAt>,
    bytes: Arc<Semaphore>,
    all_bytes: u32,
    loader: Loader,
}

impl Loads {
    pub(super) fn new(loader: Loader, folder: &Folder) -> Loads {
        let bytes = BYTES.min(host_memory::limit() / PART).max(folder.caps.plugin_size);
        let all_bytes = u32::try_from(bytes >> 10).unwrap_or(u32::MAX >> 4).max(1);
        let bytes = Arc::new(Semaphore::new(all_bytes as usize));
        Loads { waiting: VecDeque::new(), running: JoinSet::new(), bytes, all_bytes, loader }
    }

    pub(super) fn add(&mut self, loading: Loading, folder: &Arc<Folder>) {
        self.waiting.push_back((loading, Arc::clone(folder)));
        self.begin();
    }

    /// Whether nothing is waiting or running.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The next load that ends. `None` if none is running.
    pub(super) async fn next(&mut self) -> Option<Result<LookedAt, JoinError>> {
        let looked = self.running.join_next().await;
        self.begin();
        looked
    }

    /// Each load has its own blocking thread: neither the control runtime nor the guests wait for a
    /// compiler or for a plugin's `describe`.
    fn begin(&mut self) {
        while self.running.len() < AT_A_TIME
            && let Some((loading, folder)) = self.waiting.pop_front()
        {
            let (loader, handle, bytes) = (self.loader.clone(), Handle::current(), Arc::clone(&self.bytes));
            let room = u32::try_from(loading.bytes(&folder) >> 10).unwrap_or(u32::MAX).clamp(1, self.all_bytes);
            self.running.spawn_blocking(move || {
                handle.block_on(async {
                    let _room = bytes.acquire_many(room).await;
                    loading.look(&folder, &loader.engine, &loader.cache).await
                })
            });
        }
    }
}
