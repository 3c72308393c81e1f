//! A cache of compiled code on disk, which lets a host start in milliseconds.
//!
//! Loading compiled code means running it, so it must be, byte for byte, what this very compiler
//! produced. The folder is therefore private to the user (mode 0700, owned by it). A file's name is
//! the digest of the component plus a hash of the full compiler version and configuration, and the
//! file starts with a digest of that name and its body. A file that does not match is never
//! executed: it is deleted, and the component is compiled again. Files are read rather than mapped,
//! so nobody can change them under a running plugin.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::compiler::CompileError;
use super::effort::Effort;
use super::engine::Engine;

/// Files that nobody has loaded for this long are deleted.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
const DIGEST_BYTES: usize = 32;

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
        self.file(&key(engine, wasm))
    }

    /// The component of these bytes: from the cache, or compiled now and stored. `tries` is how
    /// often compiling it took too long. Also returns whether its code is optimised.
    pub(super) async fn component(
        &self,
        engine: &Engine,
        wasm: &[u8],
        tries: u32,
    ) -> Result<(Component, bool), CompileError> {
        let key = key(engine, wasm);
        if let Some(component) = self.stored(engine, &key) {
            return Ok((component, true));
        }
        if !self.quick_first {
            return Ok((self.compiled(engine, wasm, tries, Effort::Full, &key).await?, true));
        }
        let key = quick(&key);
        let component = match self.stored(engine, &key) {
            Some(component) => component,
            None => self.compiled(engine, wasm, tries, Effort::Quick, &key).await?,
        };
        Ok((component, false))
    }

    /// The component with optimised code, compiled in the background if it is not in the cache.
    /// Quick code of it is not needed any more.
    pub(super) async fn improved(&self, engine: &Engine, wasm: &[u8], tries: u32) -> Result<Component, CompileError> {
        let key = key(engine, wasm);
        let component = match self.stored(engine, &key) {
            Some(component) => component,
            None => self.compiled(engine, wasm, tries, Effort::Background, &key).await?,
        };
        if let Some(path) = self.file(&quick(&key)) {
            let _ = fs::remove_file(path);
        }
        Ok(component)
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.cwasm")))
    }

    fn stored(&self, engine: &Engine, key: &str) -> Option<Component> {
        let path = self.file(key)?;
        match read_checked(&path, key) {
            Ok(Some(code)) => match load(engine, &code) {
                Ok(component) => {
                    touch(&path);
                    return Some(component);
                }
                Err(error) => discard(&path, &error.to_string()),
            },
            Ok(None) => {}
            Err(error) => discard(&path, &format!("{error:#}")),
        }
        None
    }

    async fn compiled(
        &self,
        engine: &Engine,
        wasm: &[u8],
        tries: u32,
        effort: Effort,
        key: &str,
    ) -> Result<Component, CompileError> {
        let code = engine.compiler().compile(wasm, tries, effort).await?;
        if let (Some(folder), Some(path)) = (&self.folder, self.file(key))
            && let Err(error) = write(folder, &path, key, &code)
        {
            tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "cannot store compiled code; the next start compiles again");
        }
        load(engine, &code)
    }
}

fn load(engine: &Engine, code: &[u8]) -> Result<Component, CompileError> {
    #[expect(
        unsafe_code,
        reason = "the one place that turns bytes into native code; the module's documentation says why it is sound"
    )]
    // SAFETY: these bytes come from our own compiler. Either a process of this very binary sent
    // them over a pipe, or `read_checked` compared their digest with the one stored beside them by
    // `write`, which received them from the same compiler (the key includes its full version and
    // configuration), in a folder that only we can write to.
    let component = unsafe { Component::deserialize(engine.inner(), code) };
    component.map_err(|error| match format!("{error:#}") {
        // wasmtime has no typed error for what does not fit into the pool.
        error if error.contains("exceeds the") => CompileError::TooManyParts(error),
        // The compiler has just produced it for this engine, so the problem is on this side, such as
        // a lack of memory.
        error => CompileError::GaveUp(format!("the compiled code cannot be loaded: {error}")),
    })
}

fn key(engine: &Engine, wasm: &[u8]) -> String {
    // wasmtime's own check only compares the major version. This hash covers the full version, so
    // that no code outlives a patch release that fixed its compiler.
    let mut hasher = DefaultHasher::new();
    engine.inner().precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", crate::digest::hex(&Sha256::digest(wasm)), hasher.finish())
}

/// The key of the same component's quick code. Code of one effort is never taken for the other's.
fn quick(key: &str) -> String {
    format!("{key}-quick")
}

fn body_digest(key: &str, code: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::new().chain_update(key).chain_update(code).finalize().into()
}

fn read_checked(path: &Path, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut file = match fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if file.len() <= DIGEST_BYTES {
        bail!("the file is truncated");
    }
    let code = file.split_off(DIGEST_BYTES);
    if file != body_digest(key, &code) {
        bail!("its digest does not match its content");
    }
    Ok(Some(code))
}

fn write(folder: &Path, path: &Path, key: &str, code: &[u8]) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&body_digest(key, code))?;
    file.write_all(code)?;
    // Not synced, which could delay the first job by everything else that the disk has to write. A
    // file that a power failure truncated does not match its digest.
    file.persist(path)?;
    Ok(())
}

fn discard(path: &Path, error: &str) {
    tracing::warn!(path = %path.display(), error, "compiled code cannot be used and is compiled again");
    let _ = fs::remove_file(path);
}

fn touch(path: &Path) {
    // Only `prune` uses this time, so a read-only cache still works.
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEEP));
        if old && entry.path().extension().is_some_and(|e| e == "cwasm") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let folder = fs::symlink_metadata(folder)?;
    if !folder.is_dir() {
        bail!("it is not a folder (symlinks are not followed)");
    }
    if folder.uid() != rustix::process::geteuid().as_raw() {
        bail!(
            "it belongs to user {}, who could plant native code there; choose another with --cache-dir",
            folder.uid()
        );
    }
    if folder.mode() & 0o022 != 0 {
        bail!(
            "others can write to it (mode {:o}) and could plant native code there; chmod 700 it",
            folder.mode() & 0o777
        );
    }
    Ok(())
}
