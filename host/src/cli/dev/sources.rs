//! `dev --source`: rebuilds a plugin when one of its files is saved, and installs the
//! component into the folder of plugins.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::watch::{Saved, Watch};
use crate::install::install;
use crate::source::Source;

/// An editor writes several times when it saves a file, and a checkout of a branch changes many
/// files. A build starts once it has been quiet for this long.
const QUIET_PERIOD: Duration = Duration::from_millis(30);
/// The longest wait for quiet, so that a file that is written all the time does not prevent builds.
const MAX_QUIET_WAIT: Duration = Duration::from_secs(1);

/// After this time, a build reports that it is still running, and again after each further
/// interval. It may be compiling, or waiting for another cargo.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The plugins that are being worked on.
pub(super) struct Sources {
    folders: Vec<Watched>,
    plugins: PathBuf,
    saved: mpsc::UnboundedReceiver<Saved>,
}

struct Watched {
    source: Arc<Source>,
    watch: Watch,
    /// When the first save happened that no build has seen.
    saved: Option<Instant>,
    /// It was built before: its dependencies are compiled, if it has any.
    warm: bool,
}

impl Sources {
    /// Watch these folders from now on. Components are installed into `plugins`.
    pub(super) fn watch(folders: &[PathBuf], plugins: &Path) -> anyhow::Result<Sources> {
        let (sender, saved) = mpsc::unbounded_channel();
        let mut watched = Vec::new();
        for named in folders {
            Source::at(named).with_context(|| format!("--source {}", named.display()))?;
            let folder = named.canonicalize().with_context(|| format!("cannot find {}", named.display()))?;
            let source = Arc::new(Source::at(&folder)?);
            let watch = Watch::start(&source, watched.len(), sender.clone())?;
            watched.push(Watched { source, watch, saved: Some(Instant::now()), warm: false });
        }
        Ok(Sources { folders: watched, plugins: plugins.to_owned(), saved })
    }

    /// Build every plugin that was saved since it was last built, at first all of them. A mistake in
    /// one is shown and does not affect the others.
    pub(super) async fn build(&mut self) {
        for watched in &mut self.folders {
            // Watch new folders before the build, so that no save falls between the two.
            watched.watch.follow();
            let Some(saved) = watched.saved.take() else { continue };
            let folder = watched.source.folder().to_owned();
            match (watched.warm, watched.source.compiles_dependencies()) {
                (false, true) => {
                    tracing::info!(folder = %folder.display(), "building; the first build compiles the dependencies as well")
                }
                (true, true) => {}
                (_, false) => tracing::info!(folder = %folder.display(), "building"),
            }
            let built = build(&folder, &self.plugins, saved, watched.warm).await;
            watched.warm |= built.is_ok();
            if let Err(error) = built {
                tracing::error!(folder = %folder.display(), "{error:#}; the previous version stays in service");
            }
        }
    }

    /// Build whenever something is saved. Never returns.
    pub(super) async fn keep(&mut self) -> Infallible {
        loop {
            let Some(first) = self.saved.recv().await else { return pending().await };
            let latest = first.at + MAX_QUIET_WAIT;
            self.note(&first);
            while let Ok(Some(saved)) =
                tokio::time::timeout_at(latest.min(Instant::now() + QUIET_PERIOD).into(), self.saved.recv()).await
            {
                self.note(&saved);
            }
            self.build().await;
        }
    }

    fn note(&mut self, saved: &Saved) {
        let source = &mut self.folders[saved.source];
        source.saved = Some(source.saved.map_or(saved.at, |first| first.min(saved.at)));
    }
}

/// With `quiet`, cargo shows mistakes only; otherwise also what it compiles. The recipe is read each
/// time, because it may be what was saved.
async fn build(folder: &Path, plugins: &Path, saved: Instant, quiet: bool) -> anyhow::Result<()> {
    let source = Source::at(folder)?;
    for component in with_progress(folder, source.build(false, quiet)).await? {
        let installed = install(&component, plugins)
            .with_context(|| format!("cannot copy {} into {}", component.display(), plugins.display()))?;
        let name = component.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
        let took = saved.elapsed();
        if installed.unchanged {
            tracing::info!(file = %installed.path.display(), elapsed_ms = took.as_millis(), "built {name} in {:.1} s: it is what it was", took.as_secs_f64());
        } else {
            tracing::info!(file = %installed.path.display(), elapsed_ms = took.as_millis(), "rebuilt {name} in {:.1} s", took.as_secs_f64());
        }
    }
    Ok(())
}

/// Await the build, and log now and then how long it has taken.
async fn with_progress<T>(folder: &Path, building: impl Future<Output = T>) -> T {
    let (begun, mut building) = (Instant::now(), pin!(building));
    loop {
        match tokio::time::timeout(REPORT_INTERVAL, &mut building).await {
            Ok(built) => return built,
            Err(_) => {
                tracing::info!(folder = %folder.display(), elapsed_ms = begun.elapsed().as_millis(), "still building")
            }
        }
    }
}
