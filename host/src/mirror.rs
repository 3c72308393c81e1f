//! Plugins of registries, as files of folders in the host's cache. The folder's machinery serves them:
//! watching, canaries, roll-back, verdicts and signatures are the same for both.
//!
//! A registry is asked which digest a tag leads to, which costs one request without a body. Only
//! another digest is pulled. Whatever a registry does not answer changes nothing.

mod held;
mod held_copy;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use pgq_registry::{Client, Reference};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use held::{Content, pull};
use held_copy::HeldCopy;
pub use held_copy::folder as folder_of;

/// Registries that are asked at a time.
const AT_ONCE: usize = 4;
/// How long a start waits for what was never pulled before.
const FIRST_PULL: Duration = Duration::from_secs(30);
/// The first wait after a failure; each further one is twice as long, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// What is mirrored, and how.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    pub references: Vec<Reference>,
    /// The host's cache.
    pub cache: PathBuf,
    /// How often registries are asked.
    pub interval: Duration,
    /// Registries that may be asked over plain HTTP.
    pub insecure: Vec<String>,
    /// The largest component that is pulled, in bytes.
    pub max_bytes: u64,
}

/// Keeps folders in step with what registries have.
#[derive(Debug)]
pub struct Mirror {
    client: Client,
    copies: Vec<Tracked>,
    settings: MirrorSettings,
    poked: Arc<Notify>,
}

#[derive(Debug)]
struct Tracked {
    copy: HeldCopy,
    /// The last failure, told once.
    failed: Option<String>,
}

impl Mirror {
    /// Look at what is there from earlier. `poked` asks the registries at once.
    ///
    /// # Errors
    ///
    /// Fails if the cache cannot be used.
    pub fn open(settings: MirrorSettings, poked: Arc<Notify>) -> anyhow::Result<Mirror> {
        let client = Client::new(settings.insecure.clone())?;
        let open = |reference: &Reference| {
            let copy = HeldCopy::open(&settings.cache, reference.clone(), settings.max_bytes)
                .with_context(|| format!("cannot keep {reference} in {}", settings.cache.display()))?;
            anyhow::Ok(Tracked { copy, failed: None })
        };
        let copies = settings.references.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Mirror { client, copies, settings, poked })
    }

    /// Pull what is not there at all, for a while. What is there is served at once, also without a
    /// registry.
    pub async fn fill(&mut self) {
        let (client, most) = (&self.client, self.settings.max_bytes);
        let missing = self.copies.iter_mut().filter(|tracked| !tracked.copy.is_there());
        let pulls =
            futures_util::stream::iter(missing).for_each_concurrent(AT_ONCE, |tracked| tracked.refresh(client, most));
        if tokio::time::timeout(FIRST_PULL, pulls).await.is_err() {
            tracing::warn!("registries take long to answer; starting with what is there");
        }
    }

    /// Ask the registries until `stop`.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut wait = Duration::ZERO;
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.poked.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.refresh() => {}
            }
            failures = if self.copies.iter().any(|tracked| tracked.failed.is_some()) { failures + 1 } else { 0 };
            let retry = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
            let pause = if failures > 0 { retry.min(self.settings.interval) } else { self.settings.interval };
            wait = pause.mul_f64(0.8 + fastrand::f64() * 0.4);
        }
    }

    async fn refresh(&mut self) {
        let (client, most) = (&self.client, self.settings.max_bytes);
        let all = self.copies.iter_mut();
        futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |tracked| tracked.refresh(client, most)).await;
    }
}

impl Tracked {
    /// Never fails: whatever the registry does, what is there stays.
    async fn refresh(&mut self, client: &Client, most: u64) {
        let began = Instant::now();
        let reference = self.copy.reference().to_string();
        match self.copy.refresh(client, most).await {
            Ok(changed) => {
                if self.failed.take().is_some() {
                    tracing::info!(reference, "the registry answers again");
                }
                if let Some(digest) = changed {
                    let elapsed_ms = began.elapsed().as_millis();
                    tracing::info!(reference, digest, elapsed_ms, "pulled");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.failed.as_ref() != Some(&error) {
                    let there = self.copy.is_there();
                    tracing::warn!(
                        reference,
                        error,
                        "{}",
                        match there {
                            true => "the registry cannot be asked; what was pulled before is served",
                            false => "the registry cannot be asked, and nothing was pulled before; asking again",
                        }
                    );
                }
                self.failed = Some(error);
            }
        }
    }
}
