//! Keeps what is served in step with the folder, without ever stopping the host: scans when something may have changed, loads what did,
//! publishes one whole snapshot after each file.
//!
//! A reconciler: it compares what is there with what is known, and does not care what brought it here (an event, a signal, the clock). An
//! event that is lost costs a few seconds, never a plugin.

mod report;
mod watcher;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plugins::{BreakerRule, Folder, FolderError, Loading, LookedAt, PluginSet, Reread, SETTLE, Shelf};
use crate::queue::FleetCommand;
use crate::wasm::{CodeCache, Engine};
use watcher::Watcher;

/// The folder is scanned this often without any event: a bind mount of another machine's folder sends none.
const POLL: Duration = Duration::from_secs(5);
/// While a file is being written, events come by the thousand.
const SCAN_GAP: Duration = Duration::from_millis(20);

/// What it takes to load a plugin.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Compiles and runs.
    pub engine: Engine,
    /// Of compiled code.
    pub cache: CodeCache,
}

/// See the module.
pub struct Reload {
    shelf: Shelf,
    folder: Arc<Folder>,
    reread: Reread,
    loader: Loader,
    loads: JoinSet<LookedAt>,
    sets: watch::Sender<Arc<PluginSet>>,
    opened: Arc<Notify>,
    hangup: Signal,
    folder_lost: bool,
}

impl Reload {
    /// Load all that is there, then publish the first snapshot. Fails only when the folder cannot be read.
    pub async fn start(
        folder: Folder,
        reread: Reread,
        rule: BreakerRule,
        loader: Loader,
    ) -> anyhow::Result<(Reload, watch::Receiver<Arc<PluginSet>>)> {
        let opened = Arc::new(Notify::new());
        let (sets, set) = watch::channel(Arc::default());
        let mut reload = Reload {
            shelf: Shelf::new(folder.clone(), rule, Arc::clone(&opened)),
            folder: Arc::new(folder),
            reread,
            loader,
            loads: JoinSet::new(),
            sets,
            opened,
            hangup: signal(SignalKind::hangup())?,
            folder_lost: false,
        };
        let files = reload.list().await?;
        let mut looked_at = Vec::new();
        for loading in reload.shelf.scan(files, false).due {
            reload.load(loading);
        }
        while let Some(looked) = reload.loads.join_next().await {
            looked_at.push(looked?);
        }
        // In the order of their names, whichever was compiled first.
        looked_at.sort_by(|a, b| a.path().cmp(b.path()));
        looked_at.into_iter().for_each(|looked| reload.shelf.settle(looked));
        reload.publish();
        report::beginning(&reload.sets.borrow(), &reload.folder);
        Ok((reload, set))
    }

    /// Until `stop`.
    pub async fn run(mut self, mut commands: mpsc::Receiver<FleetCommand>, stop: CancellationToken) {
        let mut watcher = Watcher::new(self.folder.path.clone());
        let mut scan_at = Instant::now();
        loop {
            let (changed, review_at) = self.shelf.review();
            if changed {
                self.publish();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = watcher.changed() => scan_at = scan_at.min(Instant::now() + SCAN_GAP),
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading the grants and looking at all plugins again");
                    self.again().await;
                    scan_at = Instant::now();
                }
                Some(command) = commands.recv() => {
                    self.obey(command).await;
                    scan_at = Instant::now();
                }
                Some(looked) = self.loads.join_next() => match looked {
                    Ok(looked) => {
                        self.shelf.settle(looked);
                        self.publish();
                        // What changed while it was being looked at is looked at again.
                        scan_at = Instant::now();
                    }
                    Err(error) => tracing::error!(error = %error, "a plugin's load was lost"),
                },
                () = self.opened.notified() => {}
                () = until(review_at) => {}
                () = until(Some(scan_at)) => {
                    let unsettled = self.scan().await;
                    watcher.renew();
                    scan_at = Instant::now() + if unsettled { SETTLE } else { POLL };
                }
            }
        }
    }

    async fn obey(&mut self, command: FleetCommand) {
        match command {
            FleetCommand::Rescan => self.again().await,
            FleetCommand::Reset(name) => {
                if self.shelf.reset(&name) {
                    tracing::info!(name, "circuit breakers reset");
                    self.publish();
                }
            }
        }
    }

    /// Read what the operator grants, and look at every file with the next scan. What is served meanwhile is served under the new grants
    /// from here on; runs that began before end under the old ones.
    async fn again(&mut self) {
        self.shelf.forget();
        let reread = self.reread.clone();
        match tokio::task::spawn_blocking(move || reread.read()).await {
            Ok(Ok(Folder { grants, canaries, .. })) => {
                let folder = Folder { grants, canaries, ..Folder::clone(&self.folder) };
                self.shelf.regrant(folder.clone());
                self.folder = Arc::new(folder);
                self.publish();
            }
            Ok(Err(error)) => tracing::error!(error = %format!("{error:#}"), "grants stay as they were"),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Says whether to come back soon.
    async fn scan(&mut self) -> bool {
        let files = match self.list().await {
            Ok(files) => files,
            Err(error) => {
                // A volume that is not mounted for a moment takes no plugin away.
                if !self.folder_lost {
                    tracing::warn!(error = %error, "plugins are served as they were");
                }
                self.folder_lost = true;
                return false;
            }
        };
        if std::mem::take(&mut self.folder_lost) {
            tracing::info!(folder = %self.folder.path.display(), "the plugins folder is back");
        }
        self.shelf.retry_unreadable();
        let scan = self.shelf.scan(files, true);
        if scan.changed {
            self.publish();
        }
        scan.due.into_iter().for_each(|loading| self.load(loading));
        scan.unsettled
    }

    async fn list(&self) -> Result<crate::plugins::Files, FolderError> {
        let folder = Arc::clone(&self.folder);
        // Off the control runtime: a network file system may hang.
        match tokio::task::spawn_blocking(move || folder.list()).await {
            Ok(files) => files,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// On a thread of its own: neither the control runtime nor the guests wait for a compiler or for a plugin's `describe`.
    fn load(&mut self, loading: Loading) {
        let (folder, loader, handle) = (Arc::clone(&self.folder), self.loader.clone(), Handle::current());
        self.loads.spawn_blocking(move || handle.block_on(loading.look(&folder, &loader.engine, &loader.cache)));
    }

    fn publish(&mut self) {
        let set = Arc::new(self.shelf.snapshot());
        let before = self.sets.send_replace(Arc::clone(&set));
        report::changes(&before, &set);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
