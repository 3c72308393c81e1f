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
use super::instance::Instance;
use super::instance_pool::PluginId;
use super::load_error::{LoadError, WIT_VERSION};
use super::room::Appetite;
use super::schedule_caps;
use super::shares::{Large, PoolShare};
use super::state::{self, State};
use crate::printable::{cut, printable};

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
    pub(super) id: PluginId<Instance>,
    /// It needs more of the pool than a place has.
    large: Option<Arc<Large>>,
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

    /// How many more runs of it the instance pool has room for; `None` is as many as there are places.
    pub fn room(&self) -> Option<u32> {
        self.large.as_ref().map(|large| large.room())
    }

    /// What a run of it takes of the pool, if that is more than its place.
    pub fn take_share(&self) -> Option<PoolShare> {
        self.large.as_ref().map(PoolShare::take)
    }

    /// The same plugin under other grants. Instances that were kept for the next job were made under the old ones, and stay with those.
    pub fn regranted(&self, grants: Grants) -> Result<Loaded, LoadError> {
        if !grants.hold_for(&self.sha256) {
            return Err(LoadError::OtherFile { plugin: self.name.to_string(), sha256: self.sha256.clone() });
        }
        schedule_caps::check(&self.name, &self.declaration, &grants)?;
        Ok(Loaded {
            name: Arc::clone(&self.name),
            version: self.version.clone(),
            sha256: self.sha256.clone(),
            declaration: self.declaration.clone(),
            grants: Arc::new(grants),
            pre: self.pre.clone(),
            exports: Arc::clone(&self.exports),
            id: self.id.another(),
            large: self.large.clone(),
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
/// what the operator grants to the plugin of that name; `tries` is how often the file took too long to compile.
pub async fn load(
    engine: &Engine,
    cache: &CodeCache,
    stem: &str,
    wasm: &[u8],
    tries: u32,
    grants_for: impl FnOnce(&str) -> Grants,
) -> Result<Loaded, LoadError> {
    check_magic(wasm)?;
    let sha256 = crate::digest::sha256(wasm);
    let component = cache.component(engine, wasm, tries).await.map_err(|error| match error {
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
    schedule_caps::check(&name, &declaration, &grants)?;
    Ok(Loaded {
        grants: Arc::new(grants),
        name: name.into(),
        version: declaration.version.clone().unwrap_or_else(|| "0.0.0".into()),
        sha256,
        declaration,
        pre,
        exports,
        id: PluginId::new(engine.instance_pool()),
        large: Large::of(&component, engine.shares()),
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
    printable(cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600)).into_owned()
}
