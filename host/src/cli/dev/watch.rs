//! Decides which files of a crate count as saved: those that people edit, not cargo's output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// A save of a source file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    /// The index of the source.
    pub(super) source: usize,
    /// When it was saved.
    pub(super) at: Instant,
}

/// Watches until it is dropped. The crate's folder and each relevant folder in it are watched one
/// by one: cargo's writes to `target` would send thousands of useless events.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    folder: PathBuf,
    followed: BTreeSet<PathBuf>,
}

impl Watch {
    pub(super) fn start(folder: &Path, source: usize, saved: mpsc::UnboundedSender<Saved>) -> anyhow::Result<Watch> {
        let root = folder.to_owned();
        let heard = move |event: notify::Result<Event>| {
            // An error means that events were lost, so anything may have been saved.
            if event.is_ok_and(|event| event.kind.is_access() || !event.paths.iter().any(|path| is_edited(&root, path)))
            {
                return;
            }
            // The receiver is gone when `dev` ends.
            let _ = saved.send(Saved { source, at: Instant::now() });
        };
        let cannot =
            || format!("cannot watch {} (on Linux, fs.inotify.max_user_watches may be too low)", folder.display());
        let mut watcher = notify::recommended_watcher(heard).with_context(cannot)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).with_context(cannot)?;
        let mut watch = Watch { watcher, folder: folder.to_owned(), followed: BTreeSet::new() };
        watch.follow();
        Ok(watch)
    }

    /// Watch new folders, too.
    pub(super) fn follow(&mut self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let folders: BTreeSet<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir() && is_source(path)).collect();
        for folder in &folders {
            if !self.followed.contains(folder)
                && let Err(error) = self.watcher.watch(folder, RecursiveMode::Recursive)
            {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch the folder: changes in it will not be noticed");
            }
        }
        // A folder that was removed and created again is a new one.
        self.followed = folders;
    }
}

/// Cargo puts a tag file into its output folder, whatever that is called.
fn is_source(folder: &Path) -> bool {
    !is_ignored(folder) && !folder.join("CACHEDIR.TAG").exists()
}

fn is_edited(root: &Path, path: &Path) -> bool {
    let inner = path.strip_prefix(root).unwrap_or(path);
    !inner.ancestors().any(is_ignored)
}

/// Hidden files, editors' backups, cargo's output, and components.
fn is_ignored(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") || name.ends_with(b"~") || name == b"target" || name.ends_with(b".wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_edited_counts() {
        let root = Path::new("/work/target/.plugins/hello");
        for edited in ["src/lib.rs", "Cargo.toml", "payload.json", "src/mail/body.txt"] {
            assert!(is_edited(root, &root.join(edited)), "{edited}");
        }
        for other in ["target", "target/debug/x", ".git/index", "src/.lib.rs.swp", "src/lib.rs~", "plugins/hello.wasm"]
        {
            assert!(!is_edited(root, &root.join(other)), "{other}");
        }
    }
}
