//! What it takes to load a plugin.

use pgq_engine::{CodeCache, Engine};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loader {
    pub engine: Engine,
    pub cache: CodeCache,
}
