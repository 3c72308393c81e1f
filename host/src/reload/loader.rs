//! What is needed to load a plugin.

use pgq_engine::{CodeCache, Engine};

/// The engine and its code cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loader {
    pub engine: Engine,
    pub cache: CodeCache,
}
