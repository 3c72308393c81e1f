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
    /// It uses a part of WebAssembly that is disabled here.
    #[error("it uses {feature}, which this host does not run; {remedy}")]
    Unsupported { feature: &'static str, remedy: &'static str },
    #[error(
        "it has more parts than a plugin may have: {0}; compose it of fewer, or build it with fewer memories and tables"
    )]
    TooManyParts(String),
    /// The compiler did not finish.
    #[error("{0}")]
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
        "it does not export {0}; a plugin exports pgq:plugin/describe and pgq:plugin/handler: in Rust, `pgq_plugin_sdk::export!`; in other languages, build it for the world `plugin` of this release's wit folder"
    )]
    MissingExport(String),
    /// A program with a main function.
    #[error(
        "it is a command (it exports {0}), and a plugin is a library; build it for the world `plugin`: crate-type cdylib in Rust, -mexec-model=reactor in C, -buildmode=c-shared in Go"
    )]
    Command(String),
    /// It imports something that does not exist here.
    #[error("it imports {import}, which this host does not provide; {remedy}")]
    UnknownImport { import: String, remedy: &'static str },
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
    /// The operator's grants are for files that another key signed.
    #[error(
        "it is not signed by {key:?}, to which signer under [plugins.{plugin}] in pgq-host.toml binds its grants; sign it with that key, or change the signer"
    )]
    OtherSigner {
        /// The plugin's declared name.
        plugin: String,
        /// The operator's name for the key.
        key: String,
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
        !self.is_transient()
            && !matches!(
                self,
                LoadError::OtherFile { .. } | LoadError::OtherSigner { .. } | LoadError::Schedules { .. }
            )
    }
}

/// What the compiler says of a part of WebAssembly that is disabled, what that part is, and what to
/// do. wasmtime has no typed errors for these. The tests in `refusals` fail if the wording changes.
const DISABLED: [(&str, &str, &str); 7] = [
    (
        "the component model async feature",
        "async functions of WASI 0.3",
        "build it for WASI 0.2, without async (componentize-qjs: --sync; jco: --backend-qjs-disable-async)",
    ),
    ("exceptions proposal", "WebAssembly's exceptions", "build it without them"),
    (
        "gc types are disabled",
        "WebAssembly's garbage collection",
        "languages that need it, like Kotlin and Dart, have no tool chain for this host",
    ),
    ("gc proposal", "WebAssembly's garbage collection", "build it without"),
    ("memory64 must be enabled", "64-bit memory", "build it for a 32-bit target, like wasm32-wasip2"),
    ("threads must be enabled", "threads and shared memory", "build it without threads"),
    (
        "must be enabled",
        "a part of WebAssembly that is not common yet",
        "build it with the tool chain's default features",
    ),
];

/// Why a file does not compile.
pub(super) fn not_compiled(message: &str) -> LoadError {
    match DISABLED.iter().find(|(said, ..)| message.contains(said)) {
        Some((_, feature, remedy)) => LoadError::Unsupported { feature, remedy },
        None => LoadError::Invalid(shorten(message)),
    }
}

/// Why nothing of this name is there, with what to do.
pub(super) fn unknown_import(name: &str, import: String) -> LoadError {
    let remedy = if name.starts_with("pgq:plugin/") {
        "it was built for a later release: update the host, or build it against the wit folder of this one"
    } else if name.starts_with("wasi:") && name.contains("@0.3") {
        "it was built for WASI 0.3: build it for WASI 0.2"
    } else if name.contains(':') {
        "remove the import, or build with a tool chain for WASI 0.2"
    } else {
        "it was built for another world: build it for the world `plugin` of this release's wit folder"
    };
    LoadError::UnknownImport { import, remedy }
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
