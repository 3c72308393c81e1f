//! Compiled libraries of languages' run-times, each in memory once, however many components have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::Module;
use wasmtime::component::Component;

use super::shares::Slots;

/// A library, while a component needs it.
pub(super) struct Library {
    pub(super) module: Module,
}

/// The libraries that components of this host have now, by the key of their code.
#[derive(Default)]
pub(super) struct Libraries(Mutex<HashMap<String, Weak<Library>>>);

impl Libraries {
    pub(super) fn get(&self, key: &str) -> Option<Arc<Library>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.upgrade()
    }

    /// The library of this key: this one, unless another was faster.
    pub(super) fn keep(&self, key: &str, module: Module) -> Arc<Library> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = all.get(key).and_then(Weak::upgrade) {
            return there;
        }
        all.retain(|_, library| library.strong_count() > 0);
        let library = Arc::new(Library { module });
        all.insert(key.to_owned(), Arc::downgrade(&library));
        library
    }
}

/// A component's code, and that of the libraries that it imports.
pub(super) struct CompiledComponent {
    pub(super) component: Component,
    /// In the order of their names.
    pub(super) libraries: Vec<Arc<Library>>,
    /// What an instance takes of the allocator's pool, if wasmtime does not know.
    pub(super) slots: Option<Slots>,
    pub(super) is_optimised: bool,
}
