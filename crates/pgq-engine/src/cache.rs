//! Compiled code on disk, so that a host starts in milliseconds.
//!
//! Deserializing compiled code is running it: what is loaded must be, byte for byte, what this very
//! compiler made. So the folder is private to the user (0700, owned by it), a file's name is the
//! digest of the component plus a hash of the full compiler version and configuration, and the file
//! opens with a digest over that name and its body. A file that does not match is never executed;
//! it is deleted and the component compiled again. Files are read, not mapped: nobody can change
//! them under a running plugin.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::compiler::CompileError;
use super::engine::Engine;

/// A file nobody has loaded for so long is deleted.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
const DIGEST_BYTES: usize = 32;

/// The folder, checked; or none, and every start compiles anew.
#[derive(Debug, Clone, Default)]
pub struct CodeCache {
    folder: Option<PathBuf>,
}

impl CodeCache {
    /// Never read or write a file.
    pub fn disabled() -> CodeCache {
        CodeCache::default()
    }

    /// Create the folder where it is missing, refuse it where others could write to it, and drop
    /// files long unused.
    pub fn open(folder: &Path) -> anyhow::Result<CodeCache> {
        make_private(folder).with_context(|| format!("cannot use {} as cache of compiled code", folder.display()))?;
        prune(folder);
        Ok(CodeCache { folder: Some(folder.to_owned()) })
    }

    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Where the compiled code of this component is, or would be; `None` without a folder.
    pub fn path(&self, engine: &Engine, wasm: &[u8]) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{}.cwasm", key(engine, wasm))))
    }

    /// The component of these bytes: from the cache, or compiled now and kept. `tries`: how often
    /// that took too long.
    pub(super) async fn component(&self, engine: &Engine, wasm: &[u8], tries: u32) -> Result<Component, CompileError> {
        let Some(folder) = &self.folder else {
            return load(engine, &engine.compiler().compile(wasm, tries).await?);
        };
        let key = key(engine, wasm);
        let path = folder.join(format!("{key}.cwasm"));
        match read_checked(&path, &key) {
            Ok(Some(code)) => match load(engine, &code) {
                Ok(component) => {
                    touch(&path);
                    return Ok(component);
                }
                Err(error) => discard(&path, &error.to_string()),
            },
            Ok(None) => {}
            Err(error) => discard(&path, &format!("{error:#}")),
        }
        let code = engine.compiler().compile(wasm, tries).await?;
        if let Err(error) = write(folder, &path, &key, &code) {
            tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "cannot keep compiled code; the next start compiles again");
        }
        load(engine, &code)
    }
}

fn load(engine: &Engine, code: &[u8]) -> Result<Component, CompileError> {
    #[expect(
        unsafe_code,
        reason = "the one place that turns bytes into native code; the module's opening lines say why it is sound"
    )]
    // SAFETY: these bytes come from our own compiler, over a pipe to a process of this very binary; or `read_checked` compared their digest
    // with the one written beside them by `write`, which had them from the same compiler (the key
    // holds its full version and configuration), in a folder only we can write.
    let component = unsafe { Component::deserialize(engine.inner(), code) };
    // The compiler made it a moment ago, for this engine: what is wrong is here, such as memory
    // that cannot be had.
    component.map_err(|error| CompileError::GaveUp(format!("the compiled code cannot be loaded: {error:#}")))
}

fn key(engine: &Engine, wasm: &[u8]) -> String {
    // wasmtime's own version check looks at the major version only; this hash covers the full one,
    // so that no code outlives a patch release that fixed its compiler.
    let mut hasher = DefaultHasher::new();
    engine.inner().precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", crate::digest::hex(&Sha256::digest(wasm)), hasher.finish())
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
        bail!("the file is cut off");
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
    // Not synced, which would keep the first job waiting behind all that the disk has to do: what a
    // power cut leaves of it does not match its digest.
    file.persist(path)?;
    Ok(())
}

fn discard(path: &Path, error: &str) {
    tracing::warn!(path = %path.display(), error, "compiled code cannot be used and is made again");
    let _ = fs::remove_file(path);
}

fn touch(path: &Path) {
    // Only feeds `prune`; a read-only cache still serves.
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
        bail!("it is not a folder (a link is not followed)");
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
