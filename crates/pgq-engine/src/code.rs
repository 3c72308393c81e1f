//! The compiled code of a loaded plugin. It is quick code at first, unless the cache had better, and
//! is replaced by optimised code while jobs run. Runs that have begun end on what they began with.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::watch;

use super::cache::CodeCache;
use super::compiler::{CompileError, MAX_DOUBLINGS};
use super::engine::Engine;
use super::library::CompiledComponent;
use super::linked_component::LinkedComponent;

/// Shared by all runs of a version, whatever its grants.
pub(super) struct Code {
    optimised: OnceLock<Arc<LinkedComponent>>,
    /// Until there is optimised code.
    quick: Mutex<Option<Arc<LinkedComponent>>>,
    /// Dropped with the version.
    alive: watch::Sender<()>,
}

/// What a run needs of its plugin's code.
#[derive(Clone)]
pub(super) struct RunCode {
    pub(super) linked: Arc<LinkedComponent>,
    pub(super) is_optimised: bool,
}

impl Code {
    pub(super) fn new(linked: Arc<LinkedComponent>, is_optimised: bool) -> Code {
        let code = Code { optimised: OnceLock::new(), quick: Mutex::default(), alive: watch::Sender::new(()) };
        if is_optimised {
            let _ = code.optimised.set(linked);
        } else {
            *code.quick.lock().unwrap_or_else(PoisonError::into_inner) = Some(linked);
        }
        code
    }

    pub(super) fn is_optimised(&self) -> bool {
        self.optimised.get().is_some()
    }

    /// The best code that there is now.
    pub(super) fn best(&self) -> RunCode {
        if self.optimised.get().is_none() {
            let quick = self.quick.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(quick) = &*quick {
                return RunCode { linked: Arc::clone(quick), is_optimised: false };
            }
        }
        let optimised = self.optimised.get().expect("quick code is given up only for optimised code");
        RunCode { linked: Arc::clone(optimised), is_optimised: true }
    }

    /// From now on, runs begin on this code. The quick code is freed when the last run on it ends.
    fn replace(&self, linked: Arc<LinkedComponent>) {
        let _ = self.optimised.set(linked);
        self.quick.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A version that is served with quick code, to be given optimised code in the background. Holds
/// nothing of it.
#[derive(Debug)]
pub struct Improvement {
    code: Weak<Code>,
    gone: watch::Receiver<()>,
    sha256: Arc<str>,
}

/// How an [`Improvement`] ended.
#[derive(Debug)]
pub enum Improved {
    /// Runs begin on optimised code from now on.
    Done,
    /// The version is served no more.
    NotNeeded,
    /// There will be none, and quick code stays in use.
    Failed(String),
}

impl Improvement {
    pub(super) fn of(code: &Arc<Code>, sha256: &str) -> Option<Improvement> {
        let new = || Improvement { code: Arc::downgrade(code), gone: code.alive.subscribe(), sha256: sha256.into() };
        (!code.is_optimised()).then(new)
    }

    /// The digest of the file's bytes.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Compile these bytes with optimisation and replace the quick code. Ends early when the version
    /// is gone. Compiling that takes too long is tried again with more time.
    pub async fn run(self, engine: &Engine, cache: &CodeCache, wasm: &[u8]) -> Improved {
        let Improvement { code, mut gone, .. } = self;
        let compiled = tokio::select! {
            compiled = compile(engine, cache, wasm) => compiled,
            _ = gone.changed() => return Improved::NotNeeded,
        };
        let linked = match compiled.map(LinkedComponent::new) {
            Ok(Ok(linked)) => linked,
            Ok(Err(error)) => return Improved::Failed(error.to_string()),
            Err(error) => return Improved::Failed(error.to_string()),
        };
        match code.upgrade() {
            Some(code) => {
                code.replace(Arc::new(linked));
                Improved::Done
            }
            None => Improved::NotNeeded,
        }
    }
}

async fn compile(engine: &Engine, cache: &CodeCache, wasm: &[u8]) -> Result<CompiledComponent, CompileError> {
    let mut tries = 0;
    loop {
        match cache.improved(engine, wasm, tries).await {
            Err(CompileError::GaveUp(_)) if tries < MAX_DOUBLINGS => tries += 1,
            ended => return ended,
        }
    }
}
