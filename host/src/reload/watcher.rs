//! Hints that something in a folder may have changed. The receiver compares the folder itself.

use std::path::PathBuf;
use std::sync::Arc;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Watches folders rather than their files: a watch on a file dies when another file is renamed over
/// it.
pub(super) struct Watcher {
    folders: Vec<Watched>,
    hint: Arc<Notify>,
}

struct Watched {
    folder: PathBuf,
    hint: Arc<Notify>,
    watching: Option<(RecommendedWatcher, Identity)>,
    failed: bool,
}

/// Identifies the directory that a path leads to. It changes when a symlink is swapped.
type Identity = (u64, u64);

impl Watcher {
    pub(super) fn new(folders: Vec<PathBuf>) -> Watcher {
        let hint = Arc::<Notify>::default();
        let watched = |folder| Watched { folder, hint: Arc::clone(&hint), watching: None, failed: false };
        let mut watcher = Watcher { folders: folders.into_iter().map(watched).collect(), hint };
        watcher.renew();
        watcher
    }

    /// Resolves when there was an event since the last call.
    pub(super) async fn changed(&self) {
        self.hint.notified().await;
    }

    /// Watch the directories that the paths lead to now, if they are not watched already.
    pub(super) fn renew(&mut self) {
        self.folders.iter_mut().for_each(Watched::renew);
    }
}

impl Watched {
    fn renew(&mut self) {
        let identity = identity(&self.folder);
        if self.watching.as_ref().map(|(_, identity)| *identity) == identity {
            return;
        }
        self.watching = None;
        let Some(identity) = identity else { return };
        match self.watch() {
            Ok(watcher) => {
                self.watching = Some((watcher, identity));
                self.failed = false;
                // Something may have changed between the last scan and this watch.
                self.hint.notify_one();
            }
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::warn!(folder = %self.folder.display(), error = %error, "cannot watch the plugins folder; it is scanned every few seconds instead");
            }
            Err(_) => {}
        }
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let hint = Arc::clone(&self.hint);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Ignore reads: our own would cause scans without end. An error counts as a change,
            // because it may hide one.
            if event.is_ok_and(|event| {
                matches!(
                    event.kind,
                    EventKind::Access(notify::event::AccessKind::Open(_) | notify::event::AccessKind::Read)
                )
            }) {
                return;
            }
            hint.notify_one();
        })?;
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

fn identity(folder: &std::path::Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).ok().map(|folder| (folder.dev(), folder.ino()))
}
