//! The queue of loads: a few run at a time, with a bound on the bytes of files in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::loader::Loader;
use crate::plugins::{Folder, ImproveTask, LoadResult, LoadTask};
use pgq_engine::host_memory;

/// Loads at a time. Each has a thread, and most of them wait for a compiler while the others load
/// code that is already compiled.
const MAX_RUNNING: usize = 16;
/// The most bytes of files in memory at a time. One file always fits.
const MAX_BYTES: u64 = 192 << 20;
/// The files use at most this fraction (one eighth) of the memory that the host may use.
const MEMORY_FRACTION: u64 = 8;

#[derive(Debug)]
pub(super) struct Loads {
    waiting: VecDeque<(LoadTask, Arc<Folder>)>,
    running: JoinSet<LoadResult>,
    /// Versions that are served with quick code, one at a time.
    improving: JoinSet<()>,
    turn: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    all_bytes: u32,
    loader: Loader,
}

impl Loads {
    pub(super) fn new(loader: Loader, folder: &Folder) -> Loads {
        let bytes = MAX_BYTES.min(host_memory::limit() / MEMORY_FRACTION).max(folder.caps.plugin_size);
        let all_bytes = u32::try_from(bytes >> 10).unwrap_or(u32::MAX >> 4).max(1);
        let bytes = Arc::new(Semaphore::new(all_bytes as usize));
        Loads {
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            improving: JoinSet::new(),
            turn: Arc::new(Semaphore::new(1)),
            bytes,
            all_bytes,
            loader,
        }
    }

    pub(super) fn add(&mut self, loading: LoadTask, folder: &Arc<Folder>) {
        self.waiting.push_back((loading, Arc::clone(folder)));
        self.start_waiting();
    }

    /// Whether nothing is waiting or running.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The next load that ends. `None` if none is running.
    pub(super) async fn next(&mut self) -> Option<Result<LoadResult, JoinError>> {
        let mut loaded = self.running.join_next().await;
        self.start_waiting();
        if let Some(Ok(loaded)) = &mut loaded {
            loaded.take_improvements().into_iter().for_each(|task| self.improve(task));
        }
        loaded
    }

    /// Nobody waits for it, and it ends with its version or with this host.
    fn improve(&mut self, task: ImproveTask) {
        while self.improving.try_join_next().is_some() {}
        let (loader, turn, handle) = (self.loader.clone(), Arc::clone(&self.turn), Handle::current());
        self.improving.spawn(async move {
            let _turn = turn.acquire().await;
            let run = move || handle.block_on(task.run(&loader.engine, &loader.cache));
            if let Err(error) = tokio::task::spawn_blocking(run).await {
                tracing::error!(error = %error, "the task that compiles a plugin with optimisation ended without a result");
            }
        });
    }

    /// Each load has its own blocking thread: neither the control runtime nor the guests wait for a
    /// compiler or for a plugin's `describe`.
    fn start_waiting(&mut self) {
        while self.running.len() < MAX_RUNNING
            && let Some((loading, folder)) = self.waiting.pop_front()
        {
            let (loader, handle, bytes) = (self.loader.clone(), Handle::current(), Arc::clone(&self.bytes));
            let room = u32::try_from(loading.bytes(&folder) >> 10).unwrap_or(u32::MAX).clamp(1, self.all_bytes);
            self.running.spawn_blocking(move || {
                handle.block_on(async {
                    let _room = bytes.acquire_many(room).await;
                    loading.run(&folder, &loader.engine, &loader.cache).await
                })
            });
        }
    }
}
