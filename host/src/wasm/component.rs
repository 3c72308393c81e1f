//! From a file's bytes to a plugin that can run: every way in which that can fail has its cause and remedy.

use std::fmt::Write as _;
use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::bindings::PluginPre;
use super::bindings::batch::exports::pgq::plugin::batch_handler;
use super::bindings::exports::pgq::plugin::handler;
use super::cache::CodeCache;
use super::compiler::CompileError;
use super::declaration::Declaration;
use super::describe;
use super::engine::Engine;
use super::grants::Grants;
use super::room::Appetite;
use super::state::{self, State};
use super::trap;
use super::warm::Tenant;
use crate::printable::printable;

/// The version of `wit/` that this host speaks, and the range of plugins that it therefore runs.
pub const WIT_VERSION: &str = "0.1.0";

/// Why a file is not a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not wasm at all.
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
    /// No handler.
    #[error("it does not export {0}; a plugin exports pgq:plugin/describe and pgq:plugin/handler (in Rust: `pgq_plugin_sdk::export!`)")]
    MissingExport(String),
    /// It wants something that does not exist here.
    #[error("it imports {0}, which this host does not have; remove the import, or build with a tool chain for WASI 0.2")]
    UnknownImport(String),
    /// It imports or exports the right name with the wrong type.
    #[error("it does not fit the contract pgq:plugin@{WIT_VERSION}: {0}; build it against the wit folder of this host")]
    Mismatch(String),
    /// `describe.register` did not end well.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// The operator's grants are for another one.
    #[error(
        "its digest is {sha256}, which is none of those that sha256 under [plugins.{plugin}] in pgq-host.toml is for; deploy the file that it is for, or add this one's digest"
    )]
    OtherFile {
        /// The name it declares.
        plugin: String,
        /// Its digest.
        sha256: String,
    },
    /// `describe.register` ended, but what it declared cannot be.
    #[error("its `describe` declares what cannot be: {0}")]
    Declaration(String),
}

/// A compiled, linked and described plugin. Cheap to share, immutable.
pub struct Loaded {
    /// As declared, else the file's.
    pub name: Arc<str>,
    /// As declared, else `0.0.0`.
    pub version: String,
    /// Of the file's bytes.
    pub sha256: String,
    /// What it serves.
    pub declaration: Declaration,
    /// What the operator lets it do.
    pub grants: Arc<Grants>,
    pub(super) pre: PluginPre<State>,
    pub(super) exports: Arc<Exports>,
    pub(super) tenant: Tenant,
    /// What its runs take.
    pub(super) appetite: Arc<Appetite>,
}

/// Where its handlers are.
pub(super) struct Exports {
    pub(super) handler: handler::GuestIndices,
    /// Optional.
    pub(super) batch: Option<batch_handler::GuestIndices>,
}

impl Loaded {
    /// What attempts name this version by: the first 64 bits of its digest.
    pub fn key(&self) -> i64 {
        let bits = self.sha256.get(..16).and_then(|head| u64::from_str_radix(head, 16).ok());
        bits.unwrap_or_default().cast_signed()
    }

    /// The same plugin under other grants. Instances that were kept for the next job were made under the old ones, and stay with those.
    pub fn regranted(&self, grants: Grants) -> Result<Loaded, LoadError> {
        if !grants.hold_for(&self.sha256) {
            return Err(LoadError::OtherFile { plugin: self.name.to_string(), sha256: self.sha256.clone() });
        }
        Ok(Loaded {
            name: Arc::clone(&self.name),
            version: self.version.clone(),
            sha256: self.sha256.clone(),
            declaration: self.declaration.clone(),
            grants: Arc::new(grants),
            pre: self.pre.clone(),
            exports: Arc::clone(&self.exports),
            tenant: self.tenant.another(),
            appetite: Arc::clone(&self.appetite),
        })
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// Check, compile (or find compiled), link and describe. Takes as long as the compiler takes: keep it off the runtimes' threads
/// by calling it on a thread of its own. `stem` is the file's name without its ending; `grants_for` looks up
/// what the operator grants to the plugin of that name.
pub async fn load(
    engine: &Engine,
    cache: &CodeCache,
    stem: &str,
    wasm: Vec<u8>,
    grants_for: impl FnOnce(&str) -> Grants,
) -> Result<Loaded, LoadError> {
    check_magic(&wasm)?;
    let sha256 = crate::digest::sha256(&wasm);
    let component = cache.component(engine, &wasm).await.map_err(|error| match error {
        CompileError::Invalid(message) => LoadError::Invalid(shorten(&message)),
        CompileError::GaveUp(message) => LoadError::NotCompiled(shorten(&message)),
    })?;
    let linker = state::linker(engine).map_err(|error| LoadError::Invalid(one_line(&error)))?;
    check_contract(engine, &component)?;
    let pre = link(engine, &linker, &component)?;
    let exports = Arc::new(Exports {
        handler: handler::GuestIndices::new(pre.instance_pre()).map_err(|error| LoadError::Mismatch(one_line(&error)))?,
        batch: batch_handler::GuestIndices::new(pre.instance_pre()).ok(),
    });
    let declaration = describe::describe(engine, &pre, &exports, stem).await?;
    let name = declaration.name.clone().unwrap_or_else(|| stem.to_owned());
    let grants = grants_for(&name);
    if !grants.hold_for(&sha256) {
        return Err(LoadError::OtherFile { plugin: name, sha256 });
    }
    Ok(Loaded {
        grants: Arc::new(grants),
        name: name.into(),
        version: declaration.version.clone().unwrap_or_else(|| "0.0.0".into()),
        sha256,
        declaration,
        pre,
        exports,
        tenant: Tenant::new(engine.warm()),
        appetite: Arc::default(),
    })
}

fn check_magic(wasm: &[u8]) -> Result<(), LoadError> {
    match wasm {
        [] => Err(LoadError::NotWasm("the file is empty")),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', ..] => Err(LoadError::NotWasm("its header is cut off or of an unknown version")),
        _ => Err(LoadError::NotWasm("it does not begin with \\0asm")),
    }
}

/// Names of ours that it imports or exports must be of a version that this host speaks.
fn check_contract(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let imports: Vec<String> = ty.imports(engine.inner()).map(|(name, _)| name.to_owned()).collect();
    let exports: Vec<String> = ty.exports(engine.inner()).map(|(name, _)| name.to_owned()).collect();
    let ours = |name: &&String| name.starts_with("pgq:plugin/");
    if let Some(found) = imports.iter().chain(&exports).filter(ours).find(|name| !name.contains("@0.1.")) {
        return Err(LoadError::WrongVersion { found: found.clone() });
    }
    for interface in ["describe", "handler"] {
        let wanted = format!("pgq:plugin/{interface}@0.1.");
        if !exports.iter().any(|name| name.starts_with(&wanted)) {
            return Err(LoadError::MissingExport(format!("pgq:plugin/{interface}@{WIT_VERSION}")));
        }
    }
    Ok(())
}

fn link(engine: &Engine, linker: &Linker<State>, component: &Component) -> Result<PluginPre<State>, LoadError> {
    let pre = linker.instantiate_pre(component).map_err(|error| {
        let error = one_line(&error);
        unknown_import(engine, component, &error).map_or(LoadError::Mismatch(error), LoadError::UnknownImport)
    })?;
    PluginPre::new(pre).map_err(|error| LoadError::Mismatch(one_line(&error)))
}

/// The import that the error is about, with what the component wants of it, if the linker has nothing of that name.
fn unknown_import(engine: &Engine, component: &Component, error: &str) -> Option<String> {
    // wasmtime has no typed error for this; the test `loading::an_unknown_import_is_named` holds its wording.
    if !error.contains("not found in the linker") {
        return None;
    }
    let ty = component.component_type();
    let (name, import) = ty.imports(engine.inner()).find(|(name, _)| error.contains(&format!("`{name}`")))?;
    let mut text = format!("{name:?}");
    if let ComponentItem::ComponentInstance(instance) = &import.ty {
        let wants: Vec<&str> = instance.exports(engine.inner()).map(|(name, _)| name).take(3).collect();
        if !wants.is_empty() {
            let _ = write!(text, " (for {})", wants.join(", "));
        }
    }
    Some(text)
}

fn one_line(error: &wasmtime::Error) -> String {
    shorten(&format!("{error:#}"))
}

fn shorten(text: &str) -> String {
    // File formats and tool chains put names of the guest's into their errors.
    printable(trap::cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600)).into_owned()
}
