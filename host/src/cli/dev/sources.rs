//! `dev --source`: a plugin's crate is built again when a file of it is saved, and lands in the
//! folder of plugins.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use super::watch::{Saved, Watch};
use crate::cargo::{Build, install};

/// An editor that saves a file writes more than once, and a branch that is checked out saves many.
const QUIET: Duration = Duration::from_millis(30);
/// But a file that is written all the time keeps no build from starting.
const MOST_QUIET: Duration = Duration::from_secs(1);

/// A build that takes longer is heard of, and then again and again: it may be compiling, or waiting
/// for another cargo.
const SILENCE: Duration = Duration::from_secs(10);

/// The crates that are worked on.
pub(super) struct Sources {
    crates: Vec<Crate>,
    plugins: PathBuf,
    saved: mpsc::UnboundedReceiver<Saved>,
}

struct Crate {
    folder: PathBuf,
    watch: Watch,
    /// Of the first save that no build has seen.
    saved: Option<Instant>,
    /// Its dependencies are compiled, and a build takes a moment.
    warm: bool,
}

impl Sources {
    /// Watch these folders from now on. `plugins` is where components are installed.
    pub(super) fn watch(folders: &[PathBuf], plugins: &Path) -> anyhow::Result<Sources> {
        let (sender, saved) = mpsc::unbounded_channel();
        let mut crates = Vec::new();
        for named in folders {
            if !named.join("Cargo.toml").is_file() {
                bail!(
                    "--source {} has no Cargo.toml; name the folder of a plugin's crate, or make one with `pgq-host plugin new NAME`",
                    named.display()
                );
            }
            let folder = named.canonicalize().with_context(|| format!("cannot find {}", named.display()))?;
            let watch = Watch::start(&folder, crates.len(), sender.clone())?;
            crates.push(Crate { folder, watch, saved: Some(Instant::now()), warm: false });
        }
        Ok(Sources { crates, plugins: plugins.to_owned(), saved })
    }

    /// Build what was saved since it was last built: at first, everything. A mistake in one is
    /// shown and keeps no other from landing.
    pub(super) async fn build(&mut self) {
        for source in &mut self.crates {
            // A folder that is new is watched before it is built, so that no save falls between the
            // two.
            source.watch.follow();
            let Some(saved) = source.saved.take() else { continue };
            if !source.warm {
                tracing::info!(folder = %source.folder.display(), "building; the first time its dependencies are compiled as well");
            }
            let built = build(&source.folder, &self.plugins, saved, source.warm).await;
            source.warm |= built.is_ok();
            if let Err(error) = built {
                tracing::error!(folder = %source.folder.display(), "{error:#}; what was served before stays");
            }
        }
    }

    /// Build whenever something is saved. Never ends by itself.
    pub(super) async fn keep(&mut self) -> Infallible {
        loop {
            let Some(first) = self.saved.recv().await else { return pending().await };
            let latest = first.at + MOST_QUIET;
            self.note(&first);
            while let Ok(Some(saved)) =
                tokio::time::timeout_at(latest.min(Instant::now() + QUIET).into(), self.saved.recv()).await
            {
                self.note(&saved);
            }
            self.build().await;
        }
    }

    fn note(&mut self, saved: &Saved) {
        let source = &mut self.crates[saved.source];
        source.saved = Some(source.saved.map_or(saved.at, |first| first.min(saved.at)));
    }
}

/// `quiet` builds show mistakes alone; others what cargo compiles as well.
async fn build(folder: &Path, plugins: &Path, saved: Instant, quiet: bool) -> anyhow::Result<()> {
    let build = Build { folder, release: false, quiet };
    for component in heard_of(folder, build.run()).await? {
        let installed = install(&component, plugins)
            .with_context(|| format!("cannot copy {} into {}", component.display(), plugins.display()))?;
        let name = component.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
        let took = saved.elapsed();
        if installed.unchanged {
            tracing::debug!(file = %installed.path.display(), elapsed_ms = took.as_millis(), "built {name}: nothing has changed");
        } else {
            tracing::info!(file = %installed.path.display(), elapsed_ms = took.as_millis(), "rebuilt {name} in {:.1} s", took.as_secs_f64());
        }
    }
    Ok(())
}

/// The same, with a word now and then about how long it has taken.
async fn heard_of<T>(folder: &Path, building: impl Future<Output = T>) -> T {
    let (begun, mut building) = (Instant::now(), pin!(building));
    loop {
        match tokio::time::timeout(SILENCE, &mut building).await {
            Ok(built) => return built,
            Err(_) => {
                tracing::info!(folder = %folder.display(), elapsed_ms = begun.elapsed().as_millis(), "still building")
            }
        }
    }
}
