//! The keys that this host has now. They are read again at SIGHUP, and when a payload names one that
//! is not among them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::settings::SealingSettings;
use super::waits::Waits;
use pgq_job::JobId;
use pgq_sealing::Keys;

/// How often to look for an unknown key. Anybody who can enqueue can name one.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Cheap to clone; all clones are the same keys.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: RwLock<Now>,
    /// When keys were looked for last. Locked while somebody does.
    looked: Mutex<Option<Instant>>,
    waits: std::sync::Mutex<Waits>,
}

#[derive(Debug, Default, Clone)]
struct Now {
    settings: SealingSettings,
    keys: Arc<Keys>,
}

impl Keyring {
    /// With these settings, and no key yet.
    pub fn new(settings: SealingSettings) -> Keyring {
        let keyring = Keyring::default();
        keyring.set(Now { settings, keys: Arc::default() });
        keyring
    }

    /// Read the keys for the first time.
    ///
    /// # Errors
    ///
    /// Fails if that fails, or none of them may seal.
    pub async fn read(&self) -> Result<(), String> {
        let settings = self.now().settings;
        let keys = fetch(&settings).await?;
        if settings.source.is_some() {
            tracing::info!(keys = keys.names(), "payloads are opened with these keys");
        }
        self.set(Now { settings, keys });
        Ok(())
    }

    /// Read the keys of these settings, and use both from now on. Only for threads that may block.
    ///
    /// # Errors
    ///
    /// Fails if that fails, or none of the keys may seal; then nothing is changed.
    pub fn replace(&self, settings: SealingSettings) -> Result<(), String> {
        let keys = Handle::current().block_on(fetch(&settings))?;
        self.set(Now { settings, keys });
        Ok(())
    }

    /// The keys as they are known.
    pub fn keys(&self) -> Arc<Keys> {
        self.now().keys
    }

    /// The id of the key that seals, where it is not just the first.
    pub fn seal_with(&self) -> Option<String> {
        self.now().settings.seal_with
    }

    /// Look for a key that is not among them, unless somebody just did.
    pub async fn look_for(&self, key: &str) {
        let Ok(mut looked) = self.0.looked.try_lock() else { return };
        if looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        let now = self.now();
        let fetched = fetch(&now.settings).await;
        match &fetched {
            Ok(keys) if keys.opens(key).is_some() => {
                tracing::info!(key, keys = keys.names(), "a payload needed a key that is here by now");
            }
            Ok(keys) => tracing::warn!(
                key,
                keys = keys.names(),
                "a payload is sealed with a key that this host does not have; its job is put back for hosts that have it"
            ),
            Err(error) => {
                tracing::warn!(
                    key,
                    error,
                    "a payload needs a key that this host does not have, and the keys cannot be read"
                );
            }
        }
        // Unless SIGHUP brought others meanwhile.
        if let Ok(keys) = fetched
            && self.now().settings == now.settings
        {
            self.set(Now { keys, ..now });
        }
        *looked = Some(Instant::now());
    }

    /// How often this job was put back because its key is not here; `None` once that was for long
    /// enough.
    pub fn wait(&self, job: JobId) -> Option<u32> {
        let most = self.now().settings.wait;
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner).turn(job, Instant::now(), most)
    }

    /// How long jobs are put back.
    pub fn patience(&self) -> Duration {
        self.now().settings.wait
    }

    fn now(&self) -> Now {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, now: Now) {
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

async fn fetch(settings: &SealingSettings) -> Result<Arc<Keys>, String> {
    let Some(source) = &settings.source else { return Ok(Arc::default()) };
    let keys = source.read().await?;
    keys.seals(settings.seal_with.as_deref())?;
    Ok(Arc::new(keys))
}
