//! A file of the folder, and the file of signatures beside it: `NAME.wasm` and `NAME.wasm.sig`. The
//! two may arrive in any order, so a change of either is a change of both.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::content::{self, Content, Stamp};
use pgq_trust::MAX_SIGNATURE_BYTES;

/// Tells two contents of the pair apart without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairStamp {
    file: Stamp,
    signature: Option<Stamp>,
}

/// The result of reading the file of signatures.
pub(super) enum Signature {
    /// It was written to or removed while it was read.
    Changing,
    /// There is none, or it cannot be read. Then nothing is signed.
    None,
    Bytes(Vec<u8>),
}

impl PairStamp {
    /// The stamps of the files that the paths lead to.
    pub(super) fn of(path: &Path) -> io::Result<PairStamp> {
        Ok(PairStamp { file: Stamp::of(path)?, signature: Stamp::of(&signature_path(path)).ok() })
    }

    /// The stamp of the component.
    pub(super) fn file(&self) -> Stamp {
        self.file
    }

    /// How long ago the last of the two changed.
    pub(super) fn age(&self) -> Duration {
        self.signature.map_or(Duration::MAX, |signature| signature.age()).min(self.file.age())
    }

    /// Read the signatures.
    pub(super) fn read_signature(&self, path: &Path) -> Signature {
        let path = signature_path(path);
        let Some(stamp) = self.signature else { return Signature::None };
        match content::read(&path, stamp, MAX_SIGNATURE_BYTES) {
            Content::Changing => Signature::Changing,
            Content::Bytes(bytes) => Signature::Bytes(bytes),
            Content::Refused(cause) => {
                tracing::warn!(file = %path.display(), error = %cause, "a signature cannot be read");
                Signature::None
            }
        }
    }
}

/// Where the signatures of this file are.
pub fn signature_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}
