//! Keeps what is served in step with the folder without stopping the host. It scans when something
//! may have changed, loads what did, and publishes one whole snapshot after each file.
//!
//! This is a reconciler: it compares the folder with the known state, whatever triggered the
//! comparison (an event, a signal or the clock). A lost event costs a few seconds, never a plugin.

mod fleet;
mod loader;
mod loads;
mod report;
mod watcher;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::pauses::PauseLink;
use crate::plugins::{
    BreakerRule, Folder, FolderError, LoadResult, PluginSet, Reread, Rollouts, SETTLE_TIME, VersionStore,
};
pub use fleet::{Fleet, Link, join};
pub use loader::Loader;
use loads::Loads;
use pgq_queue::FleetCommand;
use watcher::Watcher;

/// How often the folder is scanned without any event. A bind mount of another machine's folder
/// sends none.
const POLL: Duration = Duration::from_secs(5);
/// The minimum time between two scans. A file being written sends thousands of events.
const SCAN_GAP: Duration = Duration::from_millis(20);

/// What a host serves, and by which rules.
#[derive(Debug)]
pub struct Sources {
    pub folder: Folder,
    /// Reads the grants and limits again.
    pub reread: Reread,
    /// When an entrypoint that crashes is paused.
    pub rule: BreakerRule,
    /// The link to what other hosts know.
    pub link: Link,
    /// What operators paused.
    pub pauses: PauseLink,
    /// Asks the registries at once, where there are any.
    pub poke: Arc<Notify>,
    /// To be told when an operator changed a schedule.
    pub rescheduled: Arc<Notify>,
}

pub struct Reload {
    rollouts: Rollouts,
    folder: Arc<Folder>,
    reread: Reread,
    loads: Loads,
    link: Link,
    pauses: PauseLink,
    poke: Arc<Notify>,
    rescheduled: Arc<Notify>,
    sets: watch::Sender<Arc<PluginSet>>,
    opened: Arc<Notify>,
    hangup: Signal,
    folder_lost: bool,
    /// The files that were there at the start are still being loaded.
    starting: bool,
}

impl Reload {
    /// Load the files that are there, waiting `patience` at most (`None`: until all are loaded),
    /// then publish the first snapshot. [`Reload::run`] loads the rest.
    ///
    /// # Errors
    ///
    /// Fails only if the folder cannot be read.
    pub async fn start(
        sources: Sources,
        loader: Loader,
        patience: Option<Duration>,
    ) -> anyhow::Result<(Reload, watch::Receiver<Arc<PluginSet>>)> {
        let Sources { folder, reread, rule, mut link, mut pauses, poke, rescheduled } = sources;
        let opened = Arc::new(Notify::new());
        let (sets, set) = watch::channel(Arc::default());
        // Beside the compiled code, in a folder that is private to the host.
        let kept = loader.cache.folder().map(|cache| VersionStore::at(cache.join("versions")));
        let known = link.known.borrow_and_update().clone();
        let paused = Arc::clone(&pauses.known.borrow_and_update());
        let mut reload = Reload {
            rollouts: Rollouts::new(folder.clone(), rule, Arc::clone(&opened)).with(known.as_ref().clone(), kept),
            loads: Loads::new(loader, &folder),
            folder: Arc::new(folder),
            reread,
            link,
            pauses,
            poke,
            rescheduled,
            sets,
            opened,
            hangup: signal(SignalKind::hangup())?,
            folder_lost: false,
            starting: true,
        };
        reload.rollouts.pause(paused);
        let files = reload.list().await?;
        for loading in reload.rollouts.scan(files, false).due {
            reload.loads.add(loading, &reload.folder);
        }
        let deadline = until(patience.and_then(|patience| Instant::now().checked_add(patience)));
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                loaded = reload.loads.next() => match loaded {
                    Some(loaded) => reload.settle(loaded),
                    None => break,
                },
                () = &mut deadline => break,
            }
        }
        reload.end_of_start();
        reload.publish();
        Ok((reload, set))
    }

    /// Once all files that were there at the start are loaded.
    fn end_of_start(&mut self) {
        if self.starting && self.loads.is_empty() {
            self.starting = false;
            self.rollouts.started();
            report::beginning(&self.rollouts.snapshot(), &self.folder);
        }
    }

    fn settle(&mut self, loaded: Result<LoadResult, tokio::task::JoinError>) {
        match loaded {
            Ok(loaded) => self.rollouts.settle(loaded),
            Err(error) => tracing::error!(error = %error, "the task that loads a plugin ended without a result"),
        }
    }

    /// Run until `stop`.
    pub async fn run(mut self, mut commands: mpsc::Receiver<FleetCommand>, stop: CancellationToken) {
        let mut watcher = Watcher::new(self.folder.paths.clone());
        let mut scan_at = Instant::now();
        loop {
            let (changed, review_at) = self.rollouts.review();
            self.follow_up();
            if changed {
                self.publish();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = watcher.changed() => scan_at = scan_at.min(Instant::now() + SCAN_GAP),
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading the grants and loading all plugins again");
                    self.again().await;
                    scan_at = Instant::now();
                }
                Some(command) = commands.recv() => {
                    self.obey(command).await;
                    scan_at = Instant::now();
                }
                Some(loaded) = self.loads.next() => {
                    self.settle(loaded);
                    self.end_of_start();
                    self.publish();
                    // A file that changed while it was being loaded is loaded again.
                    scan_at = Instant::now();
                }
                Ok(()) = self.link.known.changed() => {
                    let known = Arc::clone(&self.link.known.borrow_and_update());
                    if self.rollouts.adopt(known) {
                        self.publish();
                    }
                    scan_at = Instant::now();
                }
                Ok(()) = self.pauses.known.changed() => {
                    self.rollouts.pause(Arc::clone(&self.pauses.known.borrow_and_update()));
                    self.publish();
                }
                () = self.opened.notified() => {}
                () = until(review_at) => {}
                () = until(Some(scan_at)) => {
                    let unsettled = self.scan().await;
                    watcher.renew();
                    scan_at = Instant::now() + if unsettled { SETTLE_TIME } else { POLL };
                }
            }
        }
    }

    async fn obey(&mut self, command: FleetCommand) {
        match command {
            FleetCommand::Rescan => self.again().await,
            FleetCommand::Judged => self.link.refresh(),
            FleetCommand::Paused => self.pauses.refresh(),
            FleetCommand::Rescheduled => self.rescheduled.notify_one(),
            FleetCommand::Reset(name) => {
                self.link.forget(&name);
                if self.rollouts.reset(&name) {
                    tracing::info!(name, "circuit breakers reset");
                    self.publish();
                }
            }
        }
    }

    /// Read the grants again, and load every file with the next scan. Runs that start from now on
    /// use the new grants; runs in flight end under the old ones.
    async fn again(&mut self) {
        self.rollouts.forget();
        self.poke.notify_one();
        match self.reread.read().await {
            Ok(read) => {
                // What this host was made for stays; everything else is as it is read now.
                let Folder { paths, caps, .. } = Folder::clone(&self.folder);
                let folder = Folder { paths, caps, ..read };
                self.rollouts.regrant(folder.clone());
                self.folder = Arc::new(folder);
                self.publish();
            }
            Err(error) => tracing::error!(error = %format!("{error:#}"), "grants stay as they were"),
        }
    }

    /// Returns whether to scan again soon.
    async fn scan(&mut self) -> bool {
        let files = match self.list().await {
            Ok(files) => files,
            Err(error) => {
                // A volume that is unmounted for a moment must not take plugins away.
                if !self.folder_lost {
                    tracing::warn!(error = %error, "plugins are served as they were");
                }
                self.folder_lost = true;
                return false;
            }
        };
        if std::mem::take(&mut self.folder_lost) {
            tracing::info!(folder = self.folder.shown(), "the plugins folder is back");
        }
        let scan = self.rollouts.scan(files, true);
        if scan.changed {
            self.publish();
        }
        scan.due.into_iter().for_each(|loading| self.loads.add(loading, &self.folder));
        scan.unsettled
    }

    async fn list(&self) -> Result<crate::plugins::Files, FolderError> {
        let folder = Arc::clone(&self.folder);
        // Not on the control runtime: a network file system may hang.
        match tokio::task::spawn_blocking(move || folder.list()).await {
            Ok(files) => files,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Send new judgements to the other hosts, and start the loads that follow from them.
    fn follow_up(&mut self) {
        self.rollouts.take_judgements().into_iter().for_each(|judgement| self.link.found(judgement));
        self.rollouts.take_due().into_iter().for_each(|loading| self.loads.add(loading, &self.folder));
    }

    fn publish(&mut self) {
        let set = Arc::new(self.rollouts.snapshot());
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
