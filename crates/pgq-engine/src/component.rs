//! Turns a file's bytes into a plugin that can run. Every possible failure has its cause and its
//! remedy.

use std::sync::Arc;

use pgq_job::Signer;
use wasmtime::component::Component;

use super::cache::CodeCache;
use super::code::{Code, Improvement};
use super::compiler::CompileError;
use super::declaration::Declaration;
use super::describe;
use super::engine::Engine;
use super::grants::Grants;
use super::hits::Hits;
use super::instance::Instance;
use super::instance_pool::PluginId;
use super::library_name::is_library;
use super::linked_component::LinkedComponent;
use super::load_error::{self, LoadError, WIT_VERSION, shorten};
use super::room::MemoryEstimate;
use super::schedule_caps;
use super::shares::{LargeComponent, PoolShare};

/// A compiled, linked and described plugin. Immutable, and cheap to share.
pub struct Loaded {
    /// The declared name, or else the file's.
    pub name: Arc<str>,
    /// The declared version, or else `0.0.0`.
    pub version: String,
    /// The digest of the file's bytes.
    pub sha256: String,
    pub declaration: Declaration,
    /// The operator's keys that signed those bytes.
    pub signed_by: Arc<[Signer]>,
    /// What the operator allows it.
    pub grants: Arc<Grants>,
    /// What its runs were denied under these grants, and which limits they hit.
    pub hits: Arc<Hits>,
    pub(super) code: Arc<Code>,
    pub(super) id: PluginId<Instance>,
    /// Set if it needs more of the allocator's pool than a slot provides.
    large: Option<Arc<LargeComponent>>,
    pub(super) memory_estimate: Arc<MemoryEstimate>,
}

impl Loaded {
    /// How attempts refer to this version: the first 64 bits of its digest.
    pub fn key(&self) -> i64 {
        let bits = self.sha256.get(..16).and_then(|head| u64::from_str_radix(head, 16).ok());
        bits.unwrap_or_default().cast_signed()
    }

    /// How many more runs of it the allocator's pool has room for. `None` means as many as there
    /// are slots.
    pub fn room(&self) -> Option<u32> {
        self.large.as_ref().map(|large| large.room())
    }

    /// Reserve what a run of it needs from the pool, if that is more than a slot.
    pub fn take_share(&self) -> Option<PoolShare> {
        self.large.as_ref().map(PoolShare::take)
    }

    /// Set if it has quick code only.
    pub fn improvement(&self) -> Option<Improvement> {
        Improvement::of(&self.code, &self.sha256)
    }

    /// The interfaces that it imports.
    pub fn imports(&self) -> Vec<String> {
        imports(self.code.best().linked.component())
    }

    /// The interfaces that it exports.
    pub fn exports(&self) -> Vec<String> {
        exports(self.code.best().linked.component())
    }

    /// The same plugin with other grants. Idle instances were created under the old grants and stay
    /// with those.
    ///
    /// # Errors
    ///
    /// Fails if the grants are not for this file, or if it declares more schedules than they allow.
    pub fn regranted(&self, grants: Grants) -> Result<Loaded, LoadError> {
        grants.check_file(&self.name, &self.sha256, &self.signed_by)?;
        schedule_caps::check(&self.name, &self.declaration, &grants)?;
        Ok(Loaded {
            name: Arc::clone(&self.name),
            version: self.version.clone(),
            sha256: self.sha256.clone(),
            signed_by: Arc::clone(&self.signed_by),
            declaration: self.declaration.clone(),
            grants: Arc::new(grants),
            hits: Arc::default(),
            code: Arc::clone(&self.code),
            id: self.id.another(),
            large: self.large.clone(),
            memory_estimate: Arc::clone(&self.memory_estimate),
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

/// Check, compile (or take from the cache), link and describe a component. This takes as long as
/// the compiler does: call it on a separate thread, so that it does not block the runtimes. `stem`
/// is the file's name without its extension. `grants_for` looks up the grants of the plugin with
/// that name. `tries` is how often compiling the file took too long. `signed_by` are the keys that the
/// caller found to have signed these bytes.
///
/// # Errors
///
/// Fails if the file is not a plugin that this host can run. See [`LoadError`].
pub async fn load(
    engine: &Engine,
    cache: &CodeCache,
    stem: &str,
    wasm: &[u8],
    tries: u32,
    signed_by: &[Signer],
    grants_for: impl FnOnce(&str) -> Grants,
) -> Result<Loaded, LoadError> {
    check_magic(wasm)?;
    let sha256 = crate::digest::sha256(wasm);
    let compiled = cache.component(engine, wasm, tries).await.map_err(|error| match error {
        CompileError::Invalid(message) => load_error::not_compiled(&message),
        CompileError::TooManyParts(message) => LoadError::TooManyParts(shorten(&message)),
        CompileError::GaveUp(message) => LoadError::NotCompiled(shorten(&message)),
    })?;
    check_contract(&compiled.component)?;
    let is_optimised = compiled.is_optimised;
    let large = LargeComponent::of(&compiled.component, compiled.slots, engine.shares());
    let linked = Arc::new(LinkedComponent::new(compiled)?);
    let declaration = describe::describe(engine, &linked, stem).await?;
    let name = declaration.name.clone().unwrap_or_else(|| stem.to_owned());
    let grants = grants_for(&name);
    grants.check_file(&name, &sha256, signed_by)?;
    schedule_caps::check(&name, &declaration, &grants)?;
    Ok(Loaded {
        grants: Arc::new(grants),
        hits: Arc::default(),
        name: name.into(),
        version: declaration.version.clone().unwrap_or_else(|| "0.0.0".into()),
        sha256,
        signed_by: signed_by.into(),
        declaration,
        code: Arc::new(Code::new(linked, is_optimised)),
        id: PluginId::new(engine.instance_pool()),
        large,
        memory_estimate: Arc::default(),
    })
}

fn check_magic(wasm: &[u8]) -> Result<(), LoadError> {
    match wasm {
        [] => Err(LoadError::NotWasm("the file is empty")),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', ..] => Err(LoadError::NotWasm("its header is truncated or has an unknown version")),
        _ => Err(LoadError::NotWasm("it does not start with \\0asm")),
    }
}

/// Our interfaces that it imports or exports must have a version that this host supports.
fn check_contract(component: &Component) -> Result<(), LoadError> {
    let (imports, exports) = (imports(component), exports(component));
    let ours = |name: &&String| name.starts_with("pgq:plugin/");
    if let Some(found) = imports.iter().chain(&exports).filter(ours).find(|name| !name.contains("@0.1.")) {
        return Err(LoadError::WrongVersion { found: found.clone() });
    }
    for interface in ["describe", "handler"] {
        let wanted = format!("pgq:plugin/{interface}@0.1.");
        if !exports.iter().any(|name| name.starts_with(&wanted)) {
            if let Some(run) = exports.iter().find(|name| name.starts_with("wasi:cli/run@")) {
                return Err(LoadError::Command(run.clone()));
            }
            return Err(LoadError::MissingExport(format!("pgq:plugin/{interface}@{WIT_VERSION}")));
        }
    }
    Ok(())
}

fn imports(component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let names = ty.imports(component.engine()).map(|(name, _)| name);
    names.filter(|name| !is_library(name)).map(str::to_owned).collect()
}

fn exports(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}
