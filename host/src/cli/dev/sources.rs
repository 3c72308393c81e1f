//! `dev --source`: rebuilds a plugin's crate when one of its files is saved, and installs the
//! component into the folder of plugins.

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

/// An editor writes several times when it saves a file, and a checkout of a branch changes many
/// files. A build starts once it has been quiet for this long.
const QUIET_PERIOD: Duration = Duration::from_millis(30);
/// The longest wait for quiet, so that a file that is written all the time does not prevent builds.
const MAX_QUIET_WAIT: Duration = Duration::from_secs(1);

/// After this time, a build reports that it is still running, and again after each further
/// interval. It may be compiling, or waiting for another cargo.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The crates that are being worked on.
pub(super) struct Sources {
    crates: Vec<Crate>,
    plugins: PathBuf,
    saved: mpsc::UnboundedReceiver<Saved>,
}

struct Crate {
    folder: PathBuf,
    watch: Watch,
    /// When the first save happened that no build has seen.
    saved: Option<Instant>,
    /// Its dependencies are compiled, so a build takes only a moment.
    warm: bool,
}

impl Sources {
    /// Watch these folders from now on. Components are installed into `plugins`.
    pub(super) fn watch(folders: &[PathBuf], plugins: &Path) -> anyhow::Result<Sources> {
        let (sender, saved) = mpsc::unbounded_channel();
        let mut crates = Vec::new();
        for named in folders {
            if !named.join("Cargo.toml").is_file() {
                bail!(
                    "--source {} has no Cargo.toml; name the folder of a plugin's crate, or create one with `pgq-host plugin new NAME`",
                    named.display()
                );
            }
            let folder = named.canonicalize().with_context(|| format!("cannot find {}", named.display()))?;
            let watch = Watch::start(&folder, crates.len(), sender.clone())?;
            crates.push(Crate { folder, watch, saved: Some(Instant::now()), warm: false });
        }
        Ok(Sources { crates, plugins: plugins.to_owned(), saved })
    }

    /// Build every crate that was saved since it was last built, at first all of them. A mistake in
    /// one is shown and does not affect the others.
    pub(super) async fn build(&mut self) {
        for source in &mut self.crates {
            // Watch new folders before the build, so that no save falls between the two.
            source.watch.follow();
            let Some(saved) = source.saved.take() else { continue };
            if !source.warm {
                tracing::info!(folder = %source.folder.display(), "building; the first build compiles the dependencies as well");
            }
            let built = build(&source.folder, &self.plugins, saved, source.warm).await;
            source.warm |= built.is_ok();
            if let Err(error) = built {
                tracing::error!(folder = %source.folder.display(), "{error:#}; the previous version stays in service");
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
        let source = &mut self.crates[saved.source];
        source.saved = Some(source.saved.map_or(saved.at, |first| first.min(saved.at)));
    }
}

/// With `quiet`, show mistakes only; otherwise also what cargo compiles.
async fn build(folder: &Path, plugins: &Path, saved: Instant, quiet: bool) -> anyhow::Result<()> {
    let build = Build { folder, release: false, quiet };
    for component in with_progress(folder, build.run()).await? {
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
