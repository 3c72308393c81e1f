//! The folder of compiled code: who may write to it, and files with a digest over name and body.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::fixed_code::{CodeDigest, DIGEST_BYTES, FixedCode};

/// Files that nobody has loaded for this long are deleted.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn read_checked(path: &Path, key: &str) -> anyhow::Result<Option<FixedCode>> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut digest: CodeDigest = [0; DIGEST_BYTES];
    file.read_exact(&mut digest).context("the file is truncated")?;
    let code = FixedCode::of_file(&mut file)?;
    if code.digest(key)? != digest {
        bail!("its digest does not match its content");
    }
    Ok(Some(code))
}

pub(super) fn write(folder: &Path, path: &Path, key: &str, code: &[u8]) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::new().chain_update(key).chain_update(code).finalize())?;
    file.write_all(code)?;
    // Not synced, which could delay the first job by everything else that the disk has to write. A
    // file that a power failure truncated does not match its digest.
    file.persist(path)?;
    Ok(())
}

pub(super) fn discard(path: &Path, error: &str) {
    tracing::warn!(path = %path.display(), error, "compiled code cannot be used and is compiled again");
    let _ = fs::remove_file(path);
}

pub(super) fn touch(path: &Path) {
    // Only `prune` uses this time, so a read-only cache still works.
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

pub(super) fn prune(folder: &Path) {
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

pub(super) fn make_private(folder: &Path) -> anyhow::Result<()> {
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
