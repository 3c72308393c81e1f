//! Why a file is not a plugin, each with its cause and remedy, and whether the failure may be
//! temporary.

use crate::printable::{cut, printable};

/// The version of `wit/` that this host implements, which determines the plugins it can run.
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
    /// Truncated, damaged, or using features that are disabled here.
    #[error("the component does not compile and may be truncated or damaged: {0}; copy or build the file again")]
    Invalid(String),
    /// The compiler did not finish.
    #[error(
        "{0}; if the component is sound, raise compile-timeout under [limits] in pgq-host.toml, or compile it ahead of time with `pgq-host plugin inspect --compile`"
    )]
    NotCompiled(String),
    /// Built for another version of the contract.
    #[error(
        "it was built against {found}, and this host supports pgq:plugin@{WIT_VERSION} (any 0.1.x); rebuild it with pgq-plugin-sdk 0.1, or use a host of that version"
    )]
    WrongVersion {
        /// The interface that it names.
        found: String,
    },
    #[error(
        "it does not export {0}; a plugin exports pgq:plugin/describe and pgq:plugin/handler (in Rust: `pgq_plugin_sdk::export!`)"
    )]
    MissingExport(String),
    /// It imports something that does not exist here.
    #[error(
        "it imports {0}, which this host does not provide; remove the import, or build with a tool chain for WASI 0.2"
    )]
    UnknownImport(String),
    /// It imports or exports the right name with the wrong type.
    #[error(
        "it does not match the contract pgq:plugin@{WIT_VERSION}: {0}; build it against the wit folder of this host"
    )]
    Mismatch(String),
    /// `describe.register` failed.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// `describe.register` did not finish, which may be the machine's fault.
    #[error("its `describe` failed: {0}; trying again later")]
    NotDescribed(String),
    /// It declares more schedules than a plugin may have by default.
    #[error(
        "it declares {found} schedules{often}, and the limit is {most}; set max-schedules = {found} under [plugins.{plugin}] in pgq-host.toml, or declare fewer"
    )]
    Schedules {
        /// The plugin's declared name.
        plugin: String,
        found: usize,
        often: &'static str,
        /// The operator's cap, or the default.
        most: usize,
    },
    /// The operator's grants are for another file.
    #[error(
        "its digest is {sha256}, which sha256 under [plugins.{plugin}] in pgq-host.toml does not list; deploy a file that it lists, or add this digest"
    )]
    OtherFile {
        /// The plugin's declared name.
        plugin: String,
        sha256: String,
    },
    /// `describe.register` returned, but its declaration is invalid.
    #[error("its `describe` makes an invalid declaration: {0}")]
    Declaration(String),
}

impl LoadError {
    /// Whether the same file may load later, because the machine may only be busy or out of memory.
    pub fn is_transient(&self) -> bool {
        matches!(self, LoadError::NotCompiled(_) | LoadError::NotDescribed(_))
    }

    /// Whether the problem is in the file alone, so that only replacing the file helps.
    pub fn is_in_file(&self) -> bool {
        !self.is_transient() && !matches!(self, LoadError::OtherFile { .. } | LoadError::Schedules { .. })
    }
}

/// wasmtime's message about a file, for an error.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    shorten(&format!("{error:#}"))
}

/// Someone else's message about a file, for an error: on one line, and of limited length.
pub(super) fn shorten(text: &str) -> String {
    // File formats and tool chains include names chosen by the guest in their errors.
    printable(cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600)).into_owned()
}
