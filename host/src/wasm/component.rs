//! From a file's bytes to a plugin that can run: every way in which that can fail has its cause and remedy.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, Resource};

use super::bindings::batch::exports::pgq::plugin::batch_handler;
use super::bindings::exports::pgq::plugin::handler;
use super::bindings::{Plugin, PluginPre};
use super::cache::CodeCache;
use super::compiler::CompileError;
use super::control::{Controls, StopCause};
use super::engine::Engine;
use super::enqueue_host::Outbox;
use super::grants::Grants;
use super::limits::RunLimits;
use super::load_error::{LoadError, WIT_VERSION};
use super::log_host::Speaker;
use super::registry_host::{Declaration, Registrar};
use super::schedule_caps;
use super::shares::{Large, Share};
use super::state::{self, Call, Circumstances, State};
use super::trap;
use super::warm::Tenant;
use crate::job::Verdict;

/// `describe` has nothing to wait for.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(1);
const DESCRIBE_MEMORY: usize = 256 << 20;

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
    /// It needs more of the pool than a place has.
    large: Option<Arc<Large>>,
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
    pub fn take_share(&self) -> Option<Share> {
        self.large.as_ref().map(Share::take)
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
            tenant: self.tenant.another(),
            large: self.large.clone(),
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
    let declaration = describe(engine, &pre, &exports, stem).await?;
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
        tenant: Tenant::new(engine.warm()),
        large: Large::of(&component, engine.shares()),
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

async fn describe(engine: &Engine, pre: &PluginPre<State>, exports: &Exports, stem: &str) -> Result<Declaration, LoadError> {
    let _place = engine.describes().acquire().await;
    let _ticking = engine.running();
    let limits = RunLimits { timeout: DESCRIBE_TIMEOUT, memory: DESCRIBE_MEMORY, max_attempts: 1 };
    let deadline = Instant::now() + limits.timeout;
    let mut store = State::store(
        engine,
        Circumstances {
            grants: Arc::new(Grants::default()),
            memory: limits.memory,
            call: Call {
                speaker: Speaker { plugin: stem.into(), entrypoint: "describe".into(), job: 0, batch: None },
                controls: Controls::default(),
                deadline,
                outbox: Outbox::closed("jobs can only be enqueued from a handler"),
            },
        },
    );
    let registrar = Registrar::default();
    let call = async {
        let instance = pre.instance_pre().instantiate_async(&mut store).await?;
        // Only now are the types of exports compared; one that does not fit is better known before the first job.
        let plugin = Plugin::new(&mut store, &instance)?;
        exports.batch.as_ref().map(|batch| batch.load(&mut store, &instance)).transpose()?;
        let handle = store.data_mut().table.push(registrar.clone())?;
        plugin.pgq_plugin_describe().call_register(&mut store, Resource::new_borrow(handle.rep())).await
    };
    let called = match tokio::time::timeout_at(deadline.into(), call).await {
        Ok(called) => called,
        Err(_) => Err(StopCause::Deadline.into()),
    };
    store.data().finish_streams();
    match called {
        Ok(Ok(())) => {}
        Ok(Err(message)) => {
            return Err(LoadError::Describe(trap::cut(&message, 1 << 10).to_owned()));
        }
        Err(error) => {
            return Err(match trap::verdict(&error, store.data(), &limits) {
                Verdict::Retry { fault, .. } => {
                    let said = format!("{}: {}", fault.exception_type, fault.message);
                    // What the host could not do, or not in time, says nothing of the file.
                    let passing = ["DeadlineExceeded", "HostError"].contains(&fault.exception_type);
                    if passing { LoadError::NotDescribed(said) } else { LoadError::Describe(said) }
                }
                Verdict::Release(reason) => LoadError::NotDescribed(reason.to_owned()),
                other => LoadError::Describe(format!("{other:?}")),
            });
        }
    }
    let mut declaration = registrar.lock().clone();
    declaration.check_batches(exports.batch.is_some());
    if declaration.entrypoints.is_empty() {
        declaration.mistakes.push("no entrypoint at all".into());
    }
    if declaration.mistakes.is_empty() { Ok(declaration) } else { Err(LoadError::Declaration(declaration.mistakes.join("; "))) }
}

fn one_line(error: &wasmtime::Error) -> String {
    shorten(&format!("{error:#}"))
}

fn shorten(text: &str) -> String {
    trap::cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600).to_owned()
}
