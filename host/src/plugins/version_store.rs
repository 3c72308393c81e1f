//! Versions that were served, kept on disk so that a host can roll back even after a restart.
//!
//! The files are components, not compiled code, and live beside the compiled code. Each is named by
//! its digest. A file that does not match its name is deleted and never used.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::content::{self, Content, Stamp};
use super::signed_file::signature_path;
use pgq_engine::digest;
use pgq_trust::MAX_SIGNATURE_BYTES;

/// Versions kept per plugin file: the one served, the one before it, and one more while neither has
/// proved itself.
const VERSIONS_PER_FILE: usize = 3;
/// The most bytes kept for all files together. The oldest versions are deleted first.
const MAX_BYTES: u64 = 1 << 30;
const EXTENSION: &str = "wasm";

#[derive(Debug, Clone)]
pub struct VersionStore {
    folder: PathBuf,
}

impl VersionStore {
    /// Keeps versions in this folder, which must be private to the host. It is created when the
    /// first version is stored.
    pub fn at(folder: PathBuf) -> VersionStore {
        VersionStore { folder }
    }

    /// The directory for this file's versions. It is derived from the absolute path, because hosts
    /// with different plugin folders may share a cache, and files of the same name in two folders
    /// are unrelated.
    fn dir(&self, file: &Path) -> PathBuf {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        self.folder.join(&digest::sha256(path.as_os_str().as_encoded_bytes())[..32])
    }

    /// Store the version of the file that is now served. Versions that `bad` rejects are deleted,
    /// since nobody would roll back to them.
    pub(super) fn put(
        &self,
        file: &Path,
        sha256: &str,
        bytes: &[u8],
        signature: Option<&[u8]>,
        bad: impl Fn(&str) -> bool,
    ) {
        self.versions(file).iter().filter(|known| bad(known)).for_each(|known| self.drop(file, known));
        let dir = self.dir(file);
        let path = dir.join(sha256).with_extension(EXTENSION);
        let signed = signature.map_or(Ok(()), |signature| write(&signature_path(&path), signature));
        if let Err(error) = put(&path, bytes).and(signed) {
            tracing::warn!(file = %file.display(), error = %error, "cannot store this version; it will not be available for a roll-back after a restart");
        }
        prune(&dir, VERSIONS_PER_FILE);
        self.prune_all();
    }

    fn drop(&self, file: &Path, sha256: &str) {
        remove(&self.dir(file).join(sha256).with_extension(EXTENSION));
    }

    /// The digests of the stored versions of this file, the most recently served first.
    pub(super) fn versions(&self, file: &Path) -> Vec<String> {
        let stem = |(path, _, _): (PathBuf, SystemTime, u64)| Some(path.file_stem()?.to_str()?.to_owned());
        newest_first(&self.dir(file)).into_iter().filter_map(stem).collect()
    }

    /// The bytes of one version, if they are intact.
    pub(super) fn read(&self, file: &Path, sha256: &str, most: u64) -> Option<Vec<u8>> {
        let path = self.dir(file).join(sha256).with_extension(EXTENSION);
        match content::read(&path, Stamp::of(&path).ok()?, most) {
            Content::Bytes(bytes) if digest::sha256(&bytes) == sha256 => Some(bytes),
            _ => {
                tracing::warn!(path = %path.display(), "a stored version does not match its digest; deleting it");
                remove(&path);
                None
            }
        }
    }

    /// The signatures that this version was checked with.
    pub(super) fn signature(&self, file: &Path, sha256: &str) -> Option<Vec<u8>> {
        let path = signature_path(&self.dir(file).join(sha256).with_extension(EXTENSION));
        match content::read(&path, Stamp::of(&path).ok()?, MAX_SIGNATURE_BYTES) {
            Content::Bytes(bytes) => Some(bytes),
            Content::Changing | Content::Refused(_) => None,
        }
    }

    fn prune_all(&self) {
        let dirs = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|dir| dir.path());
        let mut all: Vec<_> = dirs.flat_map(|dir| newest_first(&dir)).collect();
        all.sort_by_key(|(_, at, _)| std::cmp::Reverse(*at));
        let mut bytes = 0;
        for (path, _, size) in all {
            bytes += size;
            if bytes > MAX_BYTES {
                remove(&path);
            }
        }
    }
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        return file.set_modified(SystemTime::now());
    }
    write(path, bytes)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    // Not synced: a file that a power failure truncated does not match its name.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

fn prune(dir: &Path, most: usize) {
    for (path, _, _) in newest_first(dir).into_iter().skip(most) {
        remove(&path);
    }
}

/// A version and its signatures.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(signature_path(path));
}

fn newest_first(dir: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let known = |file: fs::DirEntry| {
        let (path, about) = (file.path(), file.metadata().ok()?);
        (path.extension()? == EXTENSION).then_some(())?;
        Some((path, about.modified().ok()?, about.len()))
    };
    let mut files: Vec<_> = files.filter_map(known).collect();
    files.sort_by_key(|(_, at, _)| std::cmp::Reverse(*at));
    files
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_versions_are_kept_in_order_and_damaged_ones_are_not_given_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, file) = (VersionStore::at(folder.path().join("versions")), Path::new("/plugins/job.wasm"));
        let digests: Vec<String> = (0_u8..5).map(|number| digest::sha256(&[number])).collect();
        for (digest, number) in digests.iter().zip(0_u8..) {
            kept.put(file, digest, &[number], Some(&[number]), |_| false);
            let path = kept.dir(file).join(digest).with_extension(EXTENSION);
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(number));
            fs::File::options().append(true).open(path).expect("kept").set_modified(at).expect("set");
        }
        assert_eq!(kept.versions(file), [digests[4].as_str(), &digests[3], &digests[2]]);
        for other in ["/plugins/other.wasm", "/elsewhere/job.wasm"] {
            assert!(kept.versions(Path::new(other)).is_empty(), "{other}");
        }
        assert_eq!(kept.read(file, &digests[3], 10), Some(vec![3]));
        fs::write(kept.dir(file).join(&digests[3]).with_extension(EXTENSION), [7]).expect("written");
        assert_eq!(kept.read(file, &digests[3], 10), None);
        kept.put(file, &digests[2], &[2], None, |sha256| sha256 == digests[4]);
        assert_eq!(kept.versions(file), [digests[2].as_str()]);
        assert_eq!(kept.signature(file, &digests[2]), Some(vec![2]));
        assert_eq!(kept.signature(file, &digests[4]), None, "it went with its version");
    }
}
