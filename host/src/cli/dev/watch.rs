//! Decides which files of a plugin's source count as saved: those that people edit, not what tools
//! write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::source::Source;

/// A save of a source file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    /// The index of the source.
    pub(super) source: usize,
    /// When it was saved.
    pub(super) at: Instant,
}

/// Watches until it is dropped. The plugin's folder and each relevant folder in it are watched one
/// by one: what tools write to `target` or `node_modules` would send thousands of useless events.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    plugin: Arc<Source>,
    followed: BTreeSet<PathBuf>,
}

impl Watch {
    pub(super) fn start(
        plugin: &Arc<Source>,
        source: usize,
        saved: mpsc::UnboundedSender<Saved>,
    ) -> anyhow::Result<Watch> {
        let (folder, watched) = (plugin.folder(), Arc::clone(plugin));
        let heard = move |event: notify::Result<Event>| {
            // An error means that events were lost, so anything may have been saved.
            if event
                .is_ok_and(|event| event.kind.is_access() || !event.paths.iter().any(|path| is_edited(&watched, path)))
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
        let mut watch = Watch { watcher, plugin: Arc::clone(plugin), followed: BTreeSet::new() };
        watch.follow();
        Ok(watch)
    }

    /// Watch new folders, too.
    pub(super) fn follow(&mut self) {
        let entries = std::fs::read_dir(self.plugin.folder()).into_iter().flatten().flatten();
        let folders: BTreeSet<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir() && is_source(&self.plugin, path)).collect();
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
fn is_source(plugin: &Source, folder: &Path) -> bool {
    !is_ignored(plugin, folder) && !folder.join("CACHEDIR.TAG").exists()
}

fn is_edited(plugin: &Source, path: &Path) -> bool {
    let inner = path.strip_prefix(plugin.folder()).unwrap_or(path);
    !inner.ancestors().any(|part| is_ignored(plugin, part))
}

/// Hidden files, editors' backups, cargo's output, components, and what the plugin's recipe names.
fn is_ignored(plugin: &Source, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".")
        || bytes.ends_with(b"~")
        || bytes == b"target"
        || bytes.ends_with(b".wasm")
        || plugin.ignores(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_edited_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().join("target/.plugins/hello");
        std::fs::create_dir_all(&root).expect("made");
        let recipe = "artifact = \"build/a.wasm\"\nsteps = [[\"x\"]]\ninstall = \"x\"\nignore = [\"node_modules\"]";
        std::fs::write(root.join(crate::recipe::FILE), recipe).expect("written");
        let plugin = Source::at(&root).expect("a source");
        for edited in ["src/lib.rs", "Cargo.toml", "payload.json", "src/mail/body.txt", "pgq-plugin.toml"] {
            assert!(is_edited(&plugin, &root.join(edited)), "{edited}");
        }
        for other in [
            "target",
            "target/debug/x",
            ".git/index",
            "src/.lib.rs.swp",
            "src/lib.rs~",
            "plugins/hello.wasm",
            "build/bundle.js",
            "vendor/x/node_modules/y.js",
        ] {
            assert!(!is_edited(&plugin, &root.join(other)), "{other}");
        }
    }
}
