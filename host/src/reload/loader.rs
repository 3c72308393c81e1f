//! What it takes to load a plugin.

use pgq_engine::{CodeCache, Engine};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Compiles and runs.
    pub engine: Engine,
    /// Of compiled code.
    pub cache: CodeCache,
}
