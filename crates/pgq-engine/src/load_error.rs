//! Why a file is no plugin, each with cause and remedy, and whether that may pass.

use crate::printable::{cut, printable};

/// The version of `wit/` that this host speaks, and the range of plugins that it therefore runs.
pub const WIT_VERSION: &str = "0.1.0";

/// Why a file is not a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("this is not WebAssembly ({0}); build it for the target wasm32-wasip2")]
    NotWasm(&'static str),
    /// A module without the component layer.
    #[error(
        "this is a core module, not a component; build it for wasm32-wasip2 (not wasm32-wasip1 or wasm32-unknown-unknown), or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Cut off, damaged, or with features that are off here.
    #[error("the component does not compile, it may be cut off or damaged: {0}; copy or build the file again")]
    Invalid(String),
    /// The compiler did not get to an end with it.
    #[error(
        "{0}; if the component is sound, raise compile-timeout under [limits] in pgq-host.toml, or compile it ahead with `pgq-host plugin inspect --compile`"
    )]
    NotCompiled(String),
    /// Made for another contract.
    #[error(
        "it was built against {found}, and this host speaks pgq:plugin@{WIT_VERSION} (any 0.1.x); rebuild it with pgq-plugin-sdk 0.1, or use a host of that version"
    )]
    WrongVersion {
        /// The interface it names.
        found: String,
    },
    #[error(
        "it does not export {0}; a plugin exports pgq:plugin/describe and pgq:plugin/handler (in Rust: `pgq_plugin_sdk::export!`)"
    )]
    MissingExport(String),
    /// It wants something that does not exist here.
    #[error(
        "it imports {0}, which this host does not have; remove the import, or build with a tool chain for WASI 0.2"
    )]
    UnknownImport(String),
    /// It imports or exports the right name with the wrong type.
    #[error("it does not fit the contract pgq:plugin@{WIT_VERSION}: {0}; build it against the wit folder of this host")]
    Mismatch(String),
    /// `describe.register` did not end well.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// `describe.register` did not come to an end, which may be the machine's fault.
    #[error("its `describe` failed: {0}; it is tried again")]
    NotDescribed(String),
    /// More schedules than a plugin may have of its own.
    #[error(
        "it declares {found} schedules{often}, and {most} are allowed; set max-schedules = {found} under [plugins.{plugin}] in pgq-host.toml, or declare fewer"
    )]
    Schedules {
        /// The name it declares.
        plugin: String,
        found: usize,
        often: &'static str,
        /// The operator's cap, or the default.
        most: usize,
    },
    /// The operator's grants are for another one.
    #[error(
        "its digest is {sha256}, which is none of those that sha256 under [plugins.{plugin}] in pgq-host.toml is for; deploy the file that it is for, or add this one's digest"
    )]
    OtherFile {
        /// The name it declares.
        plugin: String,
        sha256: String,
    },
    /// `describe.register` ended, but what it declared cannot be.
    #[error("its `describe` declares what cannot be: {0}")]
    Declaration(String),
}

impl LoadError {
    /// Whether the same file may load a while later: what is wrong may be that the machine is busy,
    /// or out of memory.
    pub fn may_pass(&self) -> bool {
        matches!(self, LoadError::NotCompiled(_) | LoadError::NotDescribed(_))
    }

    /// Whether what is wrong is in the file alone, and nobody can set it right but who replaces the
    /// file.
    pub fn is_in_the_bytes(&self) -> bool {
        !self.may_pass() && !matches!(self, LoadError::OtherFile { .. } | LoadError::Schedules { .. })
    }
}

/// What wasmtime says of a file, for an error.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    shorten(&format!("{error:#}"))
}

/// What others say of a file, for an error: on one line, and not without end.
pub(super) fn shorten(text: &str) -> String {
    // File formats and tool chains put names of the guest's into their errors.
    printable(cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600)).into_owned()
}
