//! The plugins that this host serves, as one immutable snapshot.
//!
//! A snapshot is built whole and then published whole; whoever holds one keeps using it, so that a running job finishes on the
//! version it started with.

mod scan;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

pub use scan::{Caps, Folder, ScanError};

use crate::job::EntrypointOptions;
use crate::wasm::{LoadError, Loaded};

/// An entrypoint, and what runs it.
#[derive(Debug, Clone)]
pub struct Served {
    /// As the queue has it.
    pub entrypoint: Arc<str>,
    /// Who runs it.
    pub plugin: Arc<Loaded>,
    /// As declared, under the operator's caps.
    pub options: EntrypointOptions,
}

/// A file that is not served, and why. Each message names cause and remedy.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub cause: RefusedCause,
}

/// Why a file is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedCause {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// It is no plugin.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Another file got there first.
    #[error("its entrypoint {entrypoint:?} is served by {} already; remove one of the two, or rename the entrypoint", by.display())]
    EntrypointTaken {
        /// The name.
        entrypoint: String,
        /// The file that has it.
        by: PathBuf,
    },
    /// Another file got there first.
    #[error("a plugin named {name:?} is loaded from {} already; grants and metrics go by that name: remove one of the two files, or rename the plugin", by.display())]
    NameTaken {
        /// The name.
        name: String,
        /// The file that has it.
        by: PathBuf,
    },
}

/// What is served now.
#[derive(Debug, Clone, Default)]
pub struct PluginSet {
    plugins: Vec<(PathBuf, Arc<Loaded>)>,
    served: HashMap<Arc<str>, Served>,
    refused: Vec<Refused>,
}

impl PluginSet {
    /// Put together what was read from a folder, in the order of the file names: the first file to claim a name or an entrypoint
    /// has it, so that the outcome does not depend on the order in which the file system lists them.
    fn assemble(files: BTreeMap<PathBuf, Result<Arc<Loaded>, RefusedCause>>, caps: &Caps) -> PluginSet {
        let mut set = PluginSet::default();
        for (path, loaded) in files {
            match loaded.and_then(|plugin| set.conflict(&plugin).map_or(Ok(plugin), Err)) {
                Ok(plugin) => set.add(path, plugin, caps),
                Err(cause) => set.refused.push(Refused { path, cause }),
            }
        }
        set
    }

    fn conflict(&self, plugin: &Loaded) -> Option<RefusedCause> {
        if let Some((path, _)) = self.plugins.iter().find(|(_, other)| other.name == plugin.name) {
            return Some(RefusedCause::NameTaken { name: plugin.name.to_string(), by: path.clone() });
        }
        plugin.declaration.entrypoints.keys().find_map(|entrypoint| {
            let taken = self.served.get(entrypoint.as_str())?;
            let (path, _) = self.plugins.iter().find(|(_, other)| Arc::ptr_eq(other, &taken.plugin))?;
            Some(RefusedCause::EntrypointTaken { entrypoint: entrypoint.clone(), by: path.clone() })
        })
    }

    fn add(&mut self, path: PathBuf, plugin: Arc<Loaded>, caps: &Caps) {
        for (name, options) in &plugin.declaration.entrypoints {
            let entrypoint: Arc<str> = name.as_str().into();
            let served = Served { entrypoint: Arc::clone(&entrypoint), plugin: Arc::clone(&plugin), options: caps.apply(options) };
            self.served.insert(entrypoint, served);
        }
        self.plugins.push((path, plugin));
    }

    /// Who runs this entrypoint.
    pub fn get(&self, entrypoint: &str) -> Option<&Served> {
        self.served.get(entrypoint)
    }

    /// All that is served, in no order.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.served.values()
    }

    /// The files that are served.
    pub fn plugins(&self) -> &[(PathBuf, Arc<Loaded>)] {
        &self.plugins
    }

    /// The files that are not.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}
