//! Compiled code that nobody can change any more, before it is loaded.
//!
//! A file of the cache must not be mapped itself: whoever writes to it would change code that runs,
//! and whoever truncates it would end the host. So on Linux its bytes are copied into an anonymous
//! file, which the kernel then seals against every change, and they are checked after that. wasmtime
//! maps the anonymous file. It takes the images of guests' memories from there as well, of which it
//! makes another copy otherwise. Where there are no such files (an old kernel, a sandbox without
//! `/proc`), the bytes are in this process's memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

const PORTION: usize = 256 << 10;

/// A digest over the code.
pub(super) type CodeDigest = [u8; DIGEST_BYTES];
pub(super) const DIGEST_BYTES: usize = 32;

pub(super) enum FixedCode {
    /// An anonymous file, sealed.
    Sealed(File),
    Copied(Vec<u8>),
}

impl FixedCode {
    /// What is left to read of this file.
    pub(super) fn of_file(file: &mut File) -> io::Result<FixedCode> {
        let begin = io::Seek::stream_position(file)?;
        if let Ok(sealed) = sealed(|to| io::copy(file, to).map(drop)) {
            return Ok(FixedCode::Sealed(sealed));
        }
        io::Seek::seek(file, io::SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(FixedCode::Copied(bytes))
    }

    pub(super) fn of_bytes(bytes: Vec<u8>) -> FixedCode {
        match sealed(|to| io::Write::write_all(to, &bytes)) {
            Ok(sealed) => FixedCode::Sealed(sealed),
            Err(_) => FixedCode::Copied(bytes),
        }
    }

    /// The digest of `prefix` and the code.
    pub(super) fn digest(&self, prefix: &str) -> io::Result<CodeDigest> {
        let mut hasher = Sha256::new().chain_update(prefix);
        match self {
            FixedCode::Copied(bytes) => hasher.update(bytes),
            FixedCode::Sealed(file) => {
                let mut file = File::open(path_of(file))?;
                let mut portion = vec![0; PORTION];
                loop {
                    match file.read(&mut portion)? {
                        0 => break,
                        read => hasher.update(&portion[..read]),
                    }
                }
            }
        }
        Ok(hasher.finalize().into())
    }

    /// From where it can be mapped, while this is alive.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            FixedCode::Sealed(file) => Some(path_of(file)),
            FixedCode::Copied(_) => None,
        }
    }

    pub(super) fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            FixedCode::Sealed(file) => std::fs::read(path_of(file)).map(Cow::Owned),
            FixedCode::Copied(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }
}

fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)).into()
}

#[cfg(target_os = "linux")]
fn sealed(fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("pgq-compiled-code", flags)?);
    fill(&mut file)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    // Without `/proc` it could not be opened.
    File::open(path_of(&file))?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn sealed(_fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn sealed_code_is_what_was_there_and_changes_no_more() {
        let (head, body) = (b"head".as_slice(), vec![7; PORTION + 1]);
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&[head, &body].concat()).expect("written");
        io::Seek::seek(&mut source, io::SeekFrom::Start(head.len() as u64)).expect("there");
        let wanted: CodeDigest = Sha256::new().chain_update("key").chain_update(&body).finalize().into();
        let copied = FixedCode::Copied(body.clone());
        assert!(copied.path().is_none());
        for code in [FixedCode::of_file(&mut source).expect("read"), FixedCode::of_bytes(body.clone()), copied] {
            assert_eq!(code.digest("key").expect("read"), wanted);
            assert_eq!(code.bytes().expect("read"), body);
            let Some(path) = code.path() else { continue };
            let mut file = File::options().write(true).open(path).expect("opened");
            for changed in [file.write_all(b"x"), file.set_len(1), file.set_len(1 << 20)] {
                assert_eq!(changed.expect_err("sealed").kind(), io::ErrorKind::PermissionDenied);
            }
            assert_eq!(code.digest("key").expect("read"), wanted);
        }
        assert_eq!(FixedCode::of_bytes(body).path().is_some(), cfg!(target_os = "linux"));
    }
}
