//! A cache of compiled code on disk, which lets a host start in milliseconds.
//!
//! Loading compiled code means running it, so it must be, byte for byte, what this very compiler
//! produced. The folder is therefore private to the user (mode 0700, owned by it). A file's name is
//! the digest of the component plus a hash of the full compiler version and configuration, and the
//! file starts with a digest of that name and its body. A file that does not match is never
//! executed: it is deleted, and the component is compiled again. Files are not mapped, so nobody can
//! change them under a running plugin: what is mapped is a copy that is sealed and then checked
//! ([`FixedCode`]).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use wasmtime::Module;
use wasmtime::component::Component;

use super::code_folder::{discard, make_private, prune, read_checked, touch, write};

use super::compiler::CompileError;
use super::effort::Effort;
use super::engine::Engine;
use super::fixed_code::FixedCode;
use super::library::{CompiledComponent, Library};
use super::parts::Parts;

/// The folder, after checking it. Without a folder, every start compiles again.
#[derive(Debug, Clone, Default)]
pub struct CodeCache {
    folder: Option<PathBuf>,
    quick_first: bool,
}

impl CodeCache {
    /// A cache that never reads or writes a file.
    pub fn disabled() -> CodeCache {
        CodeCache::default()
    }

    /// Open a cache in this folder. Creates the folder if it is missing, and deletes files that
    /// have not been used for a long time.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be created, or if other users could write to it.
    pub fn open(folder: &Path) -> anyhow::Result<CodeCache> {
        make_private(folder)
            .with_context(|| format!("cannot use {} as the cache of compiled code", folder.display()))?;
        prune(folder);
        Ok(CodeCache { folder: Some(folder.to_owned()), quick_first: false })
    }

    /// The same cache. What is not in it is compiled quickly, to be [improved](super::Improvement)
    /// later.
    pub fn quick_first(&self) -> CodeCache {
        CodeCache { folder: self.folder.clone(), quick_first: true }
    }

    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The path of this component's compiled code, whether or not it exists. `None` without a
    /// folder.
    pub fn path(&self, engine: &Engine, wasm: &[u8]) -> Option<PathBuf> {
        self.file(&key(engine, &Parts::of(wasm).component))
    }

    /// The component of these bytes: from the cache, or compiled now and stored. `tries` is how
    /// often compiling it took too long.
    pub(super) async fn component(
        &self,
        engine: &Engine,
        wasm: &[u8],
        tries: u32,
    ) -> Result<CompiledComponent, CompileError> {
        let efforts: &[Effort] = if self.quick_first { &[Effort::Full, Effort::Quick] } else { &[Effort::Full] };
        self.either_way(engine, wasm, tries, efforts).await
    }

    /// The component with optimised code, compiled in the background if it is not in the cache.
    /// Quick code of it is not needed any more.
    pub(super) async fn improved(
        &self,
        engine: &Engine,
        wasm: &[u8],
        tries: u32,
    ) -> Result<CompiledComponent, CompileError> {
        let component = self.either_way(engine, wasm, tries, &[Effort::Background]).await?;
        let parts = Parts::of(wasm);
        for part in parts.libraries.iter().copied().chain([wasm, &parts.component]) {
            if let Some(path) = self.file(&quick(&key(engine, part))) {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(component)
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.cwasm")))
    }

    /// In parts, or as a whole if that is what the compiler wants to see, or complains of.
    async fn either_way(
        &self,
        engine: &Engine,
        wasm: &[u8],
        tries: u32,
        efforts: &[Effort],
    ) -> Result<CompiledComponent, CompileError> {
        let parts = Parts::of(wasm);
        match self.parts(engine, &parts, tries, efforts).await {
            Err(CompileError::Invalid(_) | CompileError::TooManyParts(_)) if !parts.is_whole() => {
                self.parts(engine, &Parts::whole(wasm), tries, efforts).await
            }
            done => done,
        }
    }

    /// Each part with the code of the first of these efforts that is stored. What is missing is compiled
    /// with the last.
    async fn parts(
        &self,
        engine: &Engine,
        parts: &Parts<'_>,
        tries: u32,
        efforts: &[Effort],
    ) -> Result<CompiledComponent, CompileError> {
        let all: Vec<&[u8]> = parts.libraries.iter().copied().chain([&*parts.component]).collect();
        let keys: Vec<String> = all.iter().map(|part| key(engine, part)).collect();
        let stored = |(part, key): (&&[u8], &String)| {
            let with = |effort: &Effort| Some((self.stored(engine, part, &effort.of(key))?, *effort));
            efforts.iter().find_map(with)
        };
        let mut found: Vec<Option<(Part, Effort)>> = all.iter().zip(&keys).map(stored).collect();
        let missing: Vec<usize> = (0..all.len()).filter(|number| found[*number].is_none()).collect();
        if !missing.is_empty() {
            let effort = efforts[efforts.len() - 1];
            let wanted: Vec<&[u8]> = missing.iter().map(|number| all[*number]).collect();
            let code = engine.compiler().compile(&wanted, tries, effort).await?;
            for (number, code) in missing.into_iter().zip(code) {
                let key = effort.of(&keys[number]);
                self.store(&key, &code);
                found[number] = Some((load(engine, all[number], &key, &FixedCode::of_bytes(code))?, effort));
            }
        }
        let is_optimised = found.iter().flatten().all(|(_, effort)| *effort != Effort::Quick);
        let mut libraries = Vec::new();
        for (part, _) in found.into_iter().flatten() {
            match part {
                Part::Library(library) => libraries.push(library),
                Part::Component(component) => {
                    return Ok(CompiledComponent { component, libraries, slots: parts.slots, is_optimised });
                }
            }
        }
        unreachable!("the component comes last")
    }

    fn stored(&self, engine: &Engine, part: &[u8], key: &str) -> Option<Part> {
        if let Some(library) = engine.libraries().get(key) {
            return Some(Part::Library(library));
        }
        let path = self.file(key)?;
        match read_checked(&path, key) {
            Ok(Some(code)) => match load(engine, part, key, &code) {
                Ok(part) => {
                    touch(&path);
                    return Some(part);
                }
                Err(error) => discard(&path, &error.to_string()),
            },
            Ok(None) => {}
            Err(error) => discard(&path, &format!("{error:#}")),
        }
        None
    }

    fn store(&self, key: &str, code: &[u8]) {
        if let (Some(folder), Some(path)) = (&self.folder, self.file(key))
            && let Err(error) = write(folder, &path, key, code)
        {
            tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "cannot store compiled code; the next start compiles again");
        }
    }
}

/// Compiled code that is ready to run.
enum Part {
    Library(Arc<Library>),
    Component(Component),
}

fn load(engine: &Engine, part: &[u8], key: &str, code: &FixedCode) -> Result<Part, CompileError> {
    if let Some(path) = code.path()
        && let Ok(loaded) = from_file(engine, part, key, &path)
    {
        return Ok(loaded);
    }
    // Perhaps it may not be mapped here. If something is wrong with it, the copy says the same.
    let code =
        code.bytes().map_err(|error| CompileError::GaveUp(format!("the compiled code cannot be read: {error}")))?;
    from_memory(engine, part, key, &code).map_err(|error| match format!("{error:#}") {
        // wasmtime has no typed error for what does not fit into the pool.
        error if error.contains("exceeds the") => CompileError::TooManyParts(error),
        // The compiler has just produced it for this engine, so the problem is on this side, such as
        // a lack of memory.
        error => CompileError::GaveUp(format!("the compiled code cannot be loaded: {error}")),
    })
}

#[expect(unsafe_code, reason = "turns bytes into native code; the module's documentation says why it is sound")]
fn from_memory(engine: &Engine, part: &[u8], key: &str, code: &[u8]) -> wasmtime::Result<Part> {
    // SAFETY: these bytes come from our own compiler. Either a process of this very binary sent
    // them over a pipe, or `read_checked` compared their digest with the one stored beside them by
    // `write`, which received them from the same compiler (the key includes its full version and
    // configuration), in a folder that only we can write to.
    unsafe {
        if is_component(part) {
            return Ok(Part::Component(Component::deserialize(engine.inner(), code)?));
        }
        Ok(Part::Library(engine.libraries().keep(key, Module::deserialize(engine.inner(), code)?)))
    }
}

#[expect(unsafe_code, reason = "as above, from where nobody can change it")]
fn from_file(engine: &Engine, part: &[u8], key: &str, path: &Path) -> wasmtime::Result<Part> {
    // SAFETY: as above. The file is sealed, so what is mapped stays what it was when its digest was
    // compared, or when the compiler sent it.
    unsafe {
        if is_component(part) {
            return Ok(Part::Component(Component::deserialize_file(engine.inner(), path)?));
        }
        Ok(Part::Library(engine.libraries().keep(key, Module::deserialize_file(engine.inner(), path)?)))
    }
}

/// The other parts are core modules.
fn is_component(part: &[u8]) -> bool {
    part.get(6) == Some(&1)
}

fn key(engine: &Engine, wasm: &[u8]) -> String {
    // wasmtime's own check only compares the major version. This hash covers the full version, so
    // that no code outlives a patch release that fixed its compiler.
    let mut hasher = DefaultHasher::new();
    engine.inner().precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", crate::digest::hex(&Sha256::digest(wasm)), hasher.finish())
}

/// The key of the same part's quick code. Code of one effort is never taken for the other's.
fn quick(key: &str) -> String {
    format!("{key}-quick")
}

impl Effort {
    fn of(self, key: &str) -> String {
        if self == Effort::Quick { quick(key) } else { key.to_owned() }
    }
}
