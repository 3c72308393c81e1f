//! The plugins, loaded before the first claim, and what keeps them in step with the folder and with
//! the other hosts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Notify, watch};

use super::settings::Settings;
use crate::mirror::Mirror;
use crate::pauses::{self, PauseKeeper};
use crate::plugins::PluginSet;
use crate::reload::{self, Fleet, Loader, Reload, Sources};
use crate::worker::Mode;
use pgq_queue::Queue;

/// Jobs are claimed for the plugins that are loaded by then. What is compiled already is there in
/// milliseconds.
const LOADS_FIRST: Duration = Duration::from_secs(1);

pub(super) struct Plugins {
    pub(super) served: watch::Receiver<Arc<PluginSet>>,
    pub(super) reload: Reload,
    pub(super) verdicts: Fleet,
    pub(super) pauses: PauseKeeper,
    pub(super) mirror: Option<Mirror>,
    /// Told when an operator changed a schedule.
    pub(super) rescheduled: Arc<Notify>,
}

pub(super) async fn load(settings: &Settings, queue: &Queue, loader: Loader) -> anyhow::Result<Plugins> {
    let (link, verdicts) = reload::join(queue.clone()).await;
    let (pause_link, pauses) = pauses::join(queue.clone()).await.context("cannot read what is paused")?;
    let poke = Arc::new(Notify::new());
    let mirror = mirror(settings, Arc::clone(&poke)).await?;
    let rescheduled = Arc::new(Notify::new());
    let sources = Sources {
        folder: settings.folder.clone(),
        reread: settings.reread.clone(),
        rule: settings.breaker,
        link,
        pauses: pause_link,
        poke,
        rescheduled: Arc::clone(&rescheduled),
    };
    // A host that ends when no job is left has to know first whose jobs those are.
    let patience = (settings.worker.mode == Mode::Continuous).then_some(LOADS_FIRST);
    let (reload, served) = Reload::start(sources, loader, patience).await?;
    Ok(Plugins { served, reload, verdicts, pauses, mirror, rescheduled })
}

/// What is kept of registries. What was never pulled is pulled first.
async fn mirror(settings: &Settings, poke: Arc<Notify>) -> anyhow::Result<Option<Mirror>> {
    let Some(mirrored) = settings.mirror.clone() else { return Ok(None) };
    // It reads what is there from earlier.
    let opened = tokio::task::spawn_blocking(move || Mirror::open(mirrored, poke)).await;
    let mut mirror = opened.context("the task that opens the copies of registries failed")??;
    mirror.fill().await;
    Ok(Some(mirror))
}
