//! Reads the files of the folder: their stamps and their bytes. Only regular files are read,
//! because a pipe or a device would never end, and only up to a limit.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::RefusedCause;

/// Tells two contents of a file apart without reading them. The inode's change time is part of it,
/// so that a file rewritten in place is noticed even if its size and modification time are
/// unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file that the path leads to. A symlink that now points elsewhere is a
    /// change.
    pub(super) fn of(path: &Path) -> io::Result<Stamp> {
        std::fs::metadata(path).map(|file| Stamp::new(&file))
    }

    fn new(file: &Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// How long ago the file changed. If the clock was set back, the file counts as old.
    pub(super) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::new(self.changed.0.try_into().unwrap_or(0), self.changed.1.try_into().unwrap_or(0));
        now.checked_sub(changed).unwrap_or(Duration::MAX)
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// The result of reading a file.
pub(super) enum Content {
    /// The file was written to or removed while it was read.
    Changing,
    Bytes(Vec<u8>),
    Refused(RefusedCause),
}

/// Read the file with this stamp if it has at most `max_bytes` bytes. Waits for the disk if it must, but
/// never for a writer.
pub(super) fn read(path: &Path, stamp: Stamp, max_bytes: u64) -> Content {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Content::Changing,
        _ => Content::Refused(RefusedCause::Unreadable(error.to_string())),
    };
    // Checking the type before opening is not enough, because the file may be replaced in between.
    // With these flags, opening a pipe does not wait for a writer.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        // A socket cannot be opened at all.
        Err(error) => match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Content::Refused(RefusedCause::NoFile(kind(found.file_type()))),
            _ => return unreadable(error),
        },
    };
    match bytes(file, stamp, max_bytes) {
        Ok(content) => match Stamp::of(path) {
            Ok(now) if now != stamp => Content::Changing,
            _ => content,
        },
        Err(error) => unreadable(error),
    }
}

fn bytes(file: File, stamp: Stamp, max_bytes: u64) -> io::Result<Content> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(Content::Refused(RefusedCause::NoFile(kind(found.file_type()))));
    }
    // Only after the type check: a directory has a size, too.
    let size = found.len().max(stamp.size);
    if size > max_bytes {
        return Ok(Content::Refused(RefusedCause::TooLarge { bytes: size, max_bytes }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    // The reported size cannot be trusted: files in /proc report 0.
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        read if read > max_bytes => Ok(Content::Refused(RefusedCause::TooLarge { bytes: read, max_bytes })),
        _ => Ok(Content::Bytes(bytes)),
    }
}

fn kind(file: FileType) -> &'static str {
    match file {
        file if file.is_dir() => "a folder",
        file if file.is_fifo() => "a named pipe",
        file if file.is_socket() => "a socket",
        file if file.is_char_device() || file.is_block_device() => "a device",
        _ => "not a regular file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        match read(path, Stamp::of(path).expect("it is there"), 1 << 10) {
            Content::Refused(cause) => cause.to_string(),
            Content::Changing => "changing".into(),
            Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
        }
    }

    #[test]
    fn what_is_no_regular_file_or_too_large_is_never_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        for (link, target) in
            [("zero", "/dev/zero"), ("tty", "/dev/tty"), ("endless", "/proc/kallsyms"), ("self", "/proc/self/maps")]
        {
            std::os::unix::fs::symlink(target, at(link)).expect("a link");
        }
        std::fs::create_dir(at("folder")).expect("a folder");
        std::fs::write(at("large"), [0; 1025]).expect("written");
        std::fs::write(at("fits"), [0; 1024]).expect("written");
        assert!(refused(&at("pipe")).contains("a named pipe"));
        assert!(refused(&at("socket")).contains("a socket"));
        assert!(refused(&at("zero")).contains("a device"));
        assert!(refused(&at("folder")).contains("a folder"));
        assert!(refused(&at("large")).contains("1025 bytes"));
        assert_eq!(refused(&at("fits")), "1024 bytes");
        // This file reports a size of 0.
        assert!(refused(&at("self")).contains("1025 bytes"));
    }
}
